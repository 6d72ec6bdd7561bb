#include "kernels/gemm_i8/tile_gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#pragma GCC push_options
#pragma GCC target("avx2,avxvnni")

#include "kernels/gemm_i8/tile_gemm_loops.h"

namespace bittrue {

namespace {

struct AvxVnni {
  using Vector = __m256i;
  static constexpr int lanes = 8;
  static constexpr int group = 1;

  static __m256i zero() { return _mm256_setzero_si256(); }
  static __m256i load(const uint32_t* words) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)); }
  static void store(int32_t* to, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v); }
  static __m256i broadcast(const uint8_t* word) {
    int32_t value;
    std::memcpy(&value, word, sizeof value);
    return _mm256_set1_epi32(value);
  }
};

struct Bytes : AvxVnni {
  template <int Words>
  static __m256i add(__m256i sum, const uint8_t* x, const __m256i (&w)[Words]) {
    return _mm256_dpbusd_avx_epi32(sum, broadcast(x), w[0]);
  }
};

struct Halves : AvxVnni {
  template <int Words>
  static __m256i add(__m256i sum, const uint8_t* x, const __m256i (&w)[Words]) {
    return _mm256_dpwssd_avx_epi32(sum, broadcast(x), w[0]);
  }
};

constexpr int tile_pixels = 6, tile_vectors = 2;

template <class Way>
TileGemm way(int values_per_word) {
  TileGemm gemm{};
  gemm.path = "avxvnni";
  gemm.values_per_word = values_per_word;
  gemm.lanes = Way::lanes;
  gemm.vectors = tile_vectors;
  gemm.pixels = tile_pixels;
  gemm.word_cost = 1.0;
  gemm.multiply = multiply_all<Way, tile_pixels, tile_vectors>;
  return gemm;
}

}  // namespace

const std::vector<TileGemm>& tile_gemms_avxvnni() {
  static const std::vector<TileGemm> ways = {way<Bytes>(4), way<Halves>(2)};
  return ways;
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

const std::vector<TileGemm>& tile_gemms_avxvnni() {
  static const std::vector<TileGemm> none;
  return none;
}

}  // namespace bittrue

#endif
