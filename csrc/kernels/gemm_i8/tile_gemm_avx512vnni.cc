// With BITTRUE_EMULATE_VNNI the path runs anywhere, so that its packing and its tiles can be tested
// (tools/emulate_vnni.sh).
#include "kernels/gemm_i8/tile_gemm.h"

#if defined(BITTRUE_EMULATE_VNNI)

#include "kernels/gemm_i8/tile_gemm_portable.h"

namespace bittrue {

const std::vector<TileGemm>& tile_gemms_avx512vnni() {
  static const std::vector<TileGemm> ways = portable_ways<16, 24, 4>("avx512vnni");
  return ways;
}

}  // namespace bittrue

#elif defined(__x86_64__)

#include <cstring>

#include "kernels/avx512_intrinsics.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vnni,avx2")

#include "kernels/gemm_i8/tile_gemm_loops.h"
#include "kernels/stage/lanes_avx512.h"

namespace bittrue {

namespace {

struct Avx512 {
  using Vector = __m512i;
  static constexpr int lanes = 16;
  static constexpr int group = 1;

  static __m512i zero() { return _mm512_setzero_si512(); }
  static __m512i load(const uint32_t* words) { return _mm512_loadu_si512(words); }
  static void store(int32_t* to, __m512i v) { _mm512_storeu_si512(to, v); }
  static __m512i broadcast(const uint8_t* word) {
    int32_t value;
    std::memcpy(&value, word, sizeof value);
    return _mm512_set1_epi32(value);
  }
};

struct Bytes : Avx512 {
  template <int Words>
  static __m512i add(__m512i sum, const uint8_t* x, const __m512i (&w)[Words]) {
    return _mm512_dpbusd_epi32(sum, broadcast(x), w[0]);
  }
};

struct Halves : Avx512 {
  template <int Words>
  static __m512i add(__m512i sum, const uint8_t* x, const __m512i (&w)[Words]) {
    return _mm512_dpwssd_epi32(sum, broadcast(x), w[0]);
  }
};

// The output stage of a tile. What it needs for 16 channels is loaded once for all pixels.
template <VectorStageRule::Kind K>
struct StageTile {
  const TileBytes& to;
  ByteStore512 bytes;

  explicit StageTile(const TileBytes& where) : to(where), bytes(*where.rule) {}

  template <int Pixels, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t first, const __m512i (&tile)[Pixels][Vectors]) const {
    __m512i values[Pixels][Vectors];
    // Not loaded before the tile: registers are for its sums.
    int64_t channel = to.first_channel;
    asm volatile("" : "+r"(channel));
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const Requant512<K> requant(*to.rule, channel + v * Avx512::lanes);
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) {
        values[p][v] = requant.apply(tile[p][v]);
        // One by one: done side by side they need more registers than there are.
        asm volatile("" : "+v"(values[p][v]));
      }
    }
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p)
      store_bytes<Vectors>(bytes.in_order(bytes.pack(values[p])), to.y + (first + p) * to.stride, to.channels);
  }
};

constexpr int tile_sums = 24, tile_vectors = 4;

template <class Way>
bool multiply_to_bytes(const TileOperands& operands, int64_t pixels, int vectors, const TileBytes& to) {
  using Kind = VectorStageRule::Kind;
  if (!stages_in_registers(*to.rule)) return false;
  if (to.rule->kind == Kind::shift_add)
    multiply_all<Way, tile_sums, tile_vectors>(operands, pixels, vectors, StageTile<Kind::shift_add>(to));
  else
    multiply_all<Way, tile_sums, tile_vectors>(operands, pixels, vectors, StageTile<Kind::multiply_high>(to));
  return true;
}

template <class Way>
TileGemm way(int values_per_word) {
  TileGemm gemm = tile_gemm<Way, tile_sums, tile_vectors>("avx512vnni", values_per_word);
  gemm.multiply_to_bytes = multiply_to_bytes<Way>;
  return gemm;
}

}  // namespace

const std::vector<TileGemm>& tile_gemms_avx512vnni() {
  static const std::vector<TileGemm> ways = {way<Bytes>(4), way<Halves>(2)};
  return ways;
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

const std::vector<TileGemm>& tile_gemms_avx512vnni() {
  static const std::vector<TileGemm> none;
  return none;
}

}  // namespace bittrue

#endif
