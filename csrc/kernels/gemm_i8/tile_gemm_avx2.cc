#include "kernels/gemm_i8/tile_gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#pragma GCC push_options
#pragma GCC target("avx2")

#include "kernels/gemm_i8/lanes_256.h"
#include "kernels/gemm_i8/tile_gemm_loops.h"

namespace bittrue {

namespace {

template <int Group>
struct Bytes : Lanes256 {
  static constexpr int group = Group;

  template <int Words>
  static __m256i add(__m256i sum, const uint8_t* x, const __m256i (&w)[Words]) {
    __m256i narrow = _mm256_maddubs_epi16(broadcast(x), w[0]);
#pragma GCC unroll 4
    for (int i = 1; i < Words; ++i)
      narrow = _mm256_add_epi16(narrow, _mm256_maddubs_epi16(broadcast(x + i * gemm_word_bytes), w[i]));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, _mm256_set1_epi16(1)));
  }
};

struct Halves : Lanes256 {
  static constexpr int group = 1;

  template <int Words>
  static __m256i add(__m256i sum, const uint8_t* x, const __m256i (&w)[Words]) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(broadcast(x), w[0]));
  }
};

// In two parts of at most 127 and 128, of which none saturates.
void add_word(const uint8_t* values, const uint32_t* weights, int vectors, int32_t* sums) {
  const __m256i x = Lanes256::broadcast(values), first = _mm256_min_epu8(x, _mm256_set1_epi8(INT8_MAX));
  const __m256i second = _mm256_sub_epi8(x, first), ones = _mm256_set1_epi16(1);
  for (int v = 0; v < vectors; ++v) {
    const __m256i w = Lanes256::load(weights + v * Lanes256::lanes);
    const __m256i a = _mm256_madd_epi16(_mm256_maddubs_epi16(first, w), ones);
    const __m256i b = _mm256_madd_epi16(_mm256_maddubs_epi16(second, w), ones);
    auto* to = reinterpret_cast<__m256i*>(sums + v * Lanes256::lanes);
    _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), _mm256_add_epi32(a, b)));
  }
}

constexpr int tile_sums = 8, tile_vectors = 2;

template <class Way>
TileGemm way(int values_per_word, int narrow_words, double cost) {
  TileGemm gemm = tile_gemm<Way, tile_sums, tile_vectors>("avx2", values_per_word, cost);
  gemm.narrow_words = narrow_words;
  return gemm;
}

TileGemm checking_way() {
  TileGemm gemm = way<Bytes<1>>(4, 1, 1.12);
  gemm.checks_pixels = true;
  gemm.add_word = add_word;
  return gemm;
}

}  // namespace

const std::vector<TileGemm>& tile_gemms_avx2() {
  static const std::vector<TileGemm> ways = {way<Bytes<4>>(4, 4, 0.80),
                                             way<Bytes<3>>(4, 3, 0.80),
                                             way<Bytes<2>>(4, 2, 0.86),
                                             way<Bytes<1>>(4, 1, 1.0),
                                             checking_way(),
                                             way<Halves>(2, 0, 0.62)};
  return ways;
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

const std::vector<TileGemm>& tile_gemms_avx2() {
  static const std::vector<TileGemm> none;
  return none;
}

}  // namespace bittrue

#endif
