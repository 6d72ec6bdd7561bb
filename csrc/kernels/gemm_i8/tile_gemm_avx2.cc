#include "kernels/gemm_i8/tile_gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#pragma GCC push_options
#pragma GCC target("avx2")

#include "kernels/gemm_i8/tile_gemm_loops.h"

namespace bittrue {

namespace {

struct Avx2 {
  using Vector = __m256i;
  static constexpr int lanes = 8;

  static __m256i zero() { return _mm256_setzero_si256(); }
  static __m256i load(const uint32_t* words) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)); }
  static void store(int32_t* to, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v); }
  static __m256i broadcast(const uint8_t* word) {
    int32_t value;
    std::memcpy(&value, word, sizeof value);
    return _mm256_set1_epi32(value);
  }
};

template <int Group>
struct Bytes : Avx2 {
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

struct Halves : Avx2 {
  static constexpr int group = 1;

  template <int Words>
  static __m256i add(__m256i sum, const uint8_t* x, const __m256i (&w)[Words]) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(broadcast(x), w[0]));
  }
};

constexpr int tile_pixels = 4, tile_vectors = 2;

template <class Way>
constexpr TileGemm way(int values_per_word, int narrow_words, bool checks_pixels, double cost) {
  return {"avx2",
          values_per_word,
          narrow_words,
          checks_pixels,
          Way::lanes,
          tile_vectors,
          tile_pixels,
          cost,
          multiply_all<Way, tile_pixels, tile_vectors>};
}

}  // namespace

const std::vector<TileGemm>& tile_gemms_avx2() {
  static const std::vector<TileGemm> ways = {way<Bytes<4>>(4, 4, false, 0.80), way<Bytes<3>>(4, 3, false, 0.80),
                                             way<Bytes<2>>(4, 2, false, 0.86), way<Bytes<1>>(4, 1, false, 1.0),
                                             way<Bytes<1>>(4, 1, true, 1.06),  way<Halves>(2, 0, false, 0.62)};
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
