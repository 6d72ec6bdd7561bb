// AVX2: words are pairs of 16-bit values, so the products of vpmaddwd are exact.
#include "kernels/gemm_i8/word_gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

constexpr int lanes = 8;
constexpr int tile_rows = 4;

template <int Stride>
__m128i load_pixels(const uint8_t* from) {
  if constexpr (Stride == 1) return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm_packus_epi16(_mm_and_si128(bytes, _mm_set1_epi16(255)), _mm_setzero_si128());
}

template <int Stride>
__m128i load_unit(const uint8_t* row, const PixelUnit& unit) {
  const __m128i pixels = load_pixels<Stride>(row + unit.first);
  if (unit.bits == 64) return pixels;
  const __m128i rest = _mm_cvtsi64_si128(64 - unit.bits);
  const __m128i next = load_pixels<Stride>(row + unit.second);
  return _mm_or_si128(_mm_srl_epi64(_mm_sll_epi64(pixels, rest), rest),
                      _mm_sll_epi64(next, _mm_cvtsi64_si128(unit.bits)));
}

template <int Stride>
void interleave_strided(const uint8_t* const* rows, const PixelUnits& pixels, bool is_signed, int32_t zero_point,
                        uint32_t* words, int64_t tile_stride) {
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(zero_point));
  for (int64_t v = 0; v < pixels.vectors; ++v) {
    const __m128i pairs =
        _mm_unpacklo_epi8(load_unit<Stride>(rows[0], pixels.units[v]), load_unit<Stride>(rows[1], pixels.units[v]));
    const __m256i wide = is_signed ? _mm256_cvtepi8_epi16(pairs) : _mm256_cvtepu8_epi16(pairs);
    uint32_t* to = words + v / tile_vectors * tile_stride + v % tile_vectors * lanes;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_sub_epi16(wide, zero));
  }
}

void interleave(const uint8_t* const* rows, const PixelUnits& pixels, bool is_signed, int32_t zero_point,
                uint32_t* words, int64_t tile_stride) {
  if (pixels.stride == 1) return interleave_strided<1>(rows, pixels, is_signed, zero_point, words, tile_stride);
  interleave_strided<2>(rows, pixels, is_signed, zero_point, words, tile_stride);
}

// Every loop over the accumulators is unrolled, so that they stay in registers.
template <int V>
void tile_of(const uint32_t* weights, const uint32_t* tile, int64_t k_words, bool accumulate, int32_t* sums,
             int64_t stride) {
  __m256i sum[tile_rows][V];
#pragma GCC unroll 4
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v)
      sum[r][v] = accumulate ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + r * stride + v * lanes))
                             : _mm256_setzero_si256();
  for (int64_t k = 0; k < k_words; ++k) {
    const auto* pixels = reinterpret_cast<const __m256i*>(tile + k * tile_vectors * lanes);
    __m256i x[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) x[v] = _mm256_loadu_si256(pixels + v);
#pragma GCC unroll 4
    for (int r = 0; r < tile_rows; ++r) {
      const __m256i w = _mm256_set1_epi32(static_cast<int>(weights[k * lanes + r]));
      if constexpr (V == 3) {
        // Twelve sums, three vectors, a weight and a product are one register too many: the last vector is read from
        // memory at every use, which the compiler would otherwise merge into one load.
        const __m256i* last = pixels + 2;
        __asm__("" : "+r"(last));
        x[2] = _mm256_loadu_si256(last);
      }
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(w, x[v]));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * stride + v * lanes), sum[r][v]);
}

void multiply_pixels(const uint32_t* weights, const uint32_t* tile, int64_t k_words, int vectors, bool accumulate,
                     int32_t* sums, int64_t stride) {
  if (vectors == 3) return tile_of<3>(weights, tile, k_words, accumulate, sums, stride);
  if (vectors == 2) return tile_of<2>(weights, tile, k_words, accumulate, sums, stride);
  tile_of<1>(weights, tile, k_words, accumulate, sums, stride);
}

template <int B>
void blocks_of(const uint32_t* weights, int64_t block_stride, const uint32_t* pixel, int64_t pixel_stride,
               int64_t k_words, int32_t* sums) {
  __m256i sum[B];
#pragma GCC unroll 4
  for (int b = 0; b < B; ++b) sum[b] = _mm256_setzero_si256();
  for (int64_t k = 0; k < k_words; ++k) {
    const __m256i x = _mm256_set1_epi32(static_cast<int>(pixel[k * pixel_stride]));
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) {
      const auto* w = reinterpret_cast<const __m256i*>(weights + b * block_stride + k * lanes);
      sum[b] = _mm256_add_epi32(sum[b], _mm256_madd_epi16(_mm256_loadu_si256(w), x));
    }
  }
#pragma GCC unroll 4
  for (int b = 0; b < B; ++b) _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + b * lanes), sum[b]);
}

void multiply_channels(const uint32_t* weights, int64_t block_stride, int64_t blocks, const uint32_t* pixel,
                       int64_t pixel_stride, int64_t k_words, int32_t* sums) {
  int64_t b = 0;
  for (; b + channel_vectors <= blocks; b += channel_vectors)
    blocks_of<channel_vectors>(weights + b * block_stride, block_stride, pixel, pixel_stride, k_words,
                               sums + b * lanes);
  for (; b < blocks; ++b)
    blocks_of<1>(weights + b * block_stride, block_stride, pixel, pixel_stride, k_words, sums + b * lanes);
}

}  // namespace

const WordGemm* word_gemm_avx2() {
  static const WordGemm gemm = {"avx2", 2, lanes, tile_rows, interleave, multiply_pixels, multiply_channels};
  return &gemm;
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

const WordGemm* word_gemm_avx2() { return nullptr; }

}  // namespace bittrue

#endif
