#include "kernels/conv_i8/winograd.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

inline __m256i add16(__m256i a, __m256i b) { return _mm256_add_epi16(a, b); }
inline __m256i sub16(__m256i a, __m256i b) { return _mm256_sub_epi16(a, b); }
inline __m256i twice16(__m256i a) { return _mm256_add_epi16(a, a); }
inline __m256i add32(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
inline __m256i sub32(__m256i a, __m256i b) { return _mm256_sub_epi32(a, b); }
inline __m256i twice32(__m256i a) { return _mm256_add_epi32(a, a); }

// One row of the input transform, modulo 2^16: the results fit.
inline void transform_six(const __m256i (&d)[6], __m256i (&r)[6]) {
  const __m256i even = sub16(d[4], d[2]), odd = twice16(sub16(d[3], d[1]));
  r[0] = add16(sub16(_mm256_slli_epi16(sub16(d[0], d[2]), 2), d[2]), d[4]);
  r[1] = sub16(add16(d[3], d[4]), _mm256_slli_epi16(add16(d[1], d[2]), 2));
  r[2] = add16(sub16(d[4], d[3]), _mm256_slli_epi16(sub16(d[1], d[2]), 2));
  r[3] = add16(even, odd);
  r[4] = sub16(even, odd);
  r[5] = add16(sub16(_mm256_slli_epi16(sub16(d[1], d[3]), 2), d[3]), d[5]);
}

template <bool Signed>
void transform_input(const uint8_t* const* pixels, int64_t channels, int16_t zero_point, int16_t* to, int64_t plane) {
  constexpr int64_t n = winograd::inputs;
  const __m256i zero = _mm256_set1_epi16(zero_point);
  for (int64_t c = 0; c < channels; c += 16) {
    __m256i columns[n][n];  // [x][transformed y]
#pragma GCC unroll 6
    for (int64_t x = 0; x < n; ++x) {
      __m256i d[n];
#pragma GCC unroll 6
      for (int64_t y = 0; y < n; ++y) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels[y * n + x] + c));
        d[y] = _mm256_sub_epi16(Signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes), zero);
      }
      transform_six(d, columns[x]);
    }
#pragma GCC unroll 6
    for (int64_t y = 0; y < n; ++y) {
      const __m256i d[n] = {columns[0][y], columns[1][y], columns[2][y], columns[3][y], columns[4][y], columns[5][y]};
      __m256i r[n];
      transform_six(d, r);
#pragma GCC unroll 6
      for (int64_t x = 0; x < n; ++x)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (y * n + x) * plane + c), r[x]);
    }
  }
}

// One row of the output transform, scaled by 24, 12, 6 and 6.
inline void transform_four(const __m256i (&m)[6], __m256i (&o)[4]) {
  const __m256i t1 = add32(m[1], m[2]), t2 = sub32(m[1], m[2]);
  const __m256i t3 = add32(m[3], m[4]), t4 = sub32(m[3], m[4]);
  o[0] = add32(twice32(add32(add32(twice32(m[0]), m[0]), twice32(t1))), t3);
  o[1] = add32(twice32(t2), t4);
  o[2] = add32(t1, t3);
  o[3] = add32(t2, twice32(add32(t4, add32(twice32(m[5]), m[5]))));
}

constexpr int output_shift[4] = {3, 2, 1, 1};  // powers of two in 24, 12, 6 and 6
constexpr int32_t inverse_of_9 = 954437177;    // modulo 2^32
static_assert(static_cast<uint32_t>(inverse_of_9) * 9u == 1u);

}  // namespace

void winograd_input_avx2(const uint8_t* const* pixels, int64_t channels, bool is_signed, int16_t zero_point,
                         int16_t* to, int64_t plane) {
  if (is_signed) return transform_input<true>(pixels, channels, zero_point, to, plane);
  transform_input<false>(pixels, channels, zero_point, to, plane);
}

void winograd_output_avx2(const int32_t* products, int64_t plane, int64_t channels, int32_t* sums, int64_t row,
                          int64_t pixel) {
  constexpr int64_t n = winograd::inputs, m = winograd::outputs;
  for (int64_t c = 0; c < channels; c += 8) {
    __m256i columns[n][m];  // [x][output y]
#pragma GCC unroll 6
    for (int64_t x = 0; x < n; ++x) {
      __m256i d[n];
#pragma GCC unroll 6
      for (int64_t y = 0; y < n; ++y)
        d[y] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(products + (y * n + x) * plane + c));
      transform_four(d, columns[x]);
    }
#pragma GCC unroll 4
    for (int64_t y = 0; y < m; ++y) {
      const __m256i d[n] = {columns[0][y], columns[1][y], columns[2][y], columns[3][y], columns[4][y], columns[5][y]};
      __m256i o[m];
      transform_four(d, o);
#pragma GCC unroll 4
      for (int64_t x = 0; x < m; ++x) {
        const __m256i scaled = _mm256_mullo_epi32(o[x], _mm256_set1_epi32(inverse_of_9));
        const __m256i value = _mm256_srai_epi32(scaled, output_shift[y] + output_shift[x]);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + y * row + x * pixel + c), value);
      }
    }
  }
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

void winograd_input_avx2(const uint8_t* const*, int64_t, bool, int16_t, int16_t*, int64_t) {}
void winograd_output_avx2(const int32_t*, int64_t, int64_t, int32_t*, int64_t, int64_t) {}

}  // namespace bittrue

#endif
