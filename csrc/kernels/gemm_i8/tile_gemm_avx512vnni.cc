// With BITTRUE_EMULATE_VNNI the path runs anywhere, so that its packing and its tiles can be tested
// (tools/emulate_vnni.sh).
#include "kernels/gemm_i8/tile_gemm.h"

#if defined(BITTRUE_EMULATE_VNNI)

#include "kernels/gemm_i8/tile_gemm_portable.h"

namespace bittrue {

const std::vector<TileGemm>& tile_gemms_avx512vnni() {
  static const std::vector<TileGemm> ways = portable_ways<16, 6, 4>("avx512vnni");
  return ways;
}

}  // namespace bittrue

#elif defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vnni,avx2")

#include "kernels/gemm_i8/tile_gemm_loops.h"

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

constexpr int tile_pixels = 6, tile_vectors = 4;

}  // namespace

const std::vector<TileGemm>& tile_gemms_avx512vnni() {
  static const std::vector<TileGemm> ways = {tile_gemm<Bytes, tile_pixels, tile_vectors>("avx512vnni", 4),
                                             tile_gemm<Halves, tile_pixels, tile_vectors>("avx512vnni", 2)};
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
