// AVX512-VNNI: words are four 8-bit values; vpdpbusd multiplies unsigned activations with signed weights and adds
// without saturation.
#include "kernels/gemm_i8/word_gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vnni,avx2")

namespace bittrue {

namespace {

constexpr int lanes = 16;
constexpr int tile_rows = 8;

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
void interleave_strided(const uint8_t* const* rows, const PixelUnits& pixels, bool is_signed, uint32_t* words,
                        int64_t tile_stride) {
  const __m128i raise = _mm_set1_epi8(is_signed ? static_cast<char>(0x80) : 0);
  const auto row = [&](int i, int64_t v) {
    const __m128i bytes = _mm_unpacklo_epi64(load_unit<Stride>(rows[i], pixels.units[2 * v]),
                                             load_unit<Stride>(rows[i], pixels.units[2 * v + 1]));
    return _mm_xor_si128(bytes, raise);
  };
  for (int64_t v = 0; v < pixels.vectors; ++v) {
    const __m128i a = row(0, v), b = row(1, v), c = row(2, v), d = row(3, v);
    const __m128i ab[2] = {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
    const __m128i cd[2] = {_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d)};
    auto* to = reinterpret_cast<__m128i*>(words + v / tile_vectors * tile_stride + v % tile_vectors * lanes);
    for (int i = 0; i < 2; ++i) {
      _mm_storeu_si128(to + 2 * i, _mm_unpacklo_epi16(ab[i], cd[i]));
      _mm_storeu_si128(to + 2 * i + 1, _mm_unpackhi_epi16(ab[i], cd[i]));
    }
  }
}

void interleave(const uint8_t* const* rows, const PixelUnits& pixels, bool is_signed, int32_t, uint32_t* words,
                int64_t tile_stride) {
  if (pixels.stride == 1) return interleave_strided<1>(rows, pixels, is_signed, words, tile_stride);
  interleave_strided<2>(rows, pixels, is_signed, words, tile_stride);
}

// Every loop over the accumulators is unrolled, so that they stay in registers.
template <int V>
void tile_of(const uint32_t* weights, const uint32_t* tile, int64_t k_words, bool accumulate, int32_t* sums,
             int64_t stride) {
  __m512i sum[tile_rows][V];
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v)
      sum[r][v] = accumulate ? _mm512_loadu_si512(static_cast<const void*>(sums + r * stride + v * lanes))
                             : _mm512_setzero_si512();
  for (int64_t k = 0; k < k_words; ++k) {
    __m512i x[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v)
      x[v] = _mm512_loadu_si512(static_cast<const void*>(tile + k * tile_vectors * lanes + v * lanes));
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      const __m512i w = _mm512_set1_epi32(static_cast<int>(weights[k * lanes + r]));
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], x[v], w);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) _mm512_storeu_si512(static_cast<void*>(sums + r * stride + v * lanes), sum[r][v]);
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
  __m512i sum[B];
#pragma GCC unroll 4
  for (int b = 0; b < B; ++b) sum[b] = _mm512_setzero_si512();
  for (int64_t k = 0; k < k_words; ++k) {
    const __m512i x = _mm512_set1_epi32(static_cast<int>(pixel[k * pixel_stride]));
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) {
      const auto* w = static_cast<const void*>(weights + b * block_stride + k * lanes);
      sum[b] = _mm512_dpbusd_epi32(sum[b], x, _mm512_loadu_si512(w));
    }
  }
#pragma GCC unroll 4
  for (int b = 0; b < B; ++b) _mm512_storeu_si512(static_cast<void*>(sums + b * lanes), sum[b]);
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

const WordGemm* word_gemm_avx512vnni() {
  static const WordGemm gemm = {"avx512vnni", 4, lanes, tile_rows, interleave, multiply_pixels, multiply_channels};
  return &gemm;
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

const WordGemm* word_gemm_avx512vnni() { return nullptr; }

}  // namespace bittrue

#endif
