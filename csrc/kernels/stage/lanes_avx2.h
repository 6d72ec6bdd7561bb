// What the AVX2 kernels share: rounding of floats, and storing 32-bit values as a narrower type.
#pragma once

#include <immintrin.h>

#include "arith/rounding.h"
#include "engine/tensor.h"

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

// round_real of eight floats; NaN stays NaN.
template <Rounding R>
inline __m256 round_real_lanes(__m256 v) {
  constexpr int exact = _MM_FROUND_NO_EXC;
  const __m256 one = _mm256_set1_ps(1.0f), half = _mm256_set1_ps(0.5f);
  const __m256 sign = _mm256_and_ps(v, _mm256_set1_ps(-0.0f));
  if constexpr (R == Rounding::half_even) return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | exact);
  if constexpr (R == Rounding::floor) return _mm256_round_ps(v, _MM_FROUND_TO_NEG_INF | exact);
  if constexpr (R == Rounding::ceil) return _mm256_round_ps(v, _MM_FROUND_TO_POS_INF | exact);
  if constexpr (R == Rounding::toward_zero) return _mm256_round_ps(v, _MM_FROUND_TO_ZERO | exact);
  if constexpr (R == Rounding::add_half_trunc)
    return _mm256_round_ps(_mm256_add_ps(v, _mm256_or_ps(half, sign)), _MM_FROUND_TO_ZERO | exact);
  if constexpr (R == Rounding::half_away) {
    const __m256 whole = _mm256_round_ps(v, _MM_FROUND_TO_ZERO | exact);
    const __m256 fraction = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(v, whole));
    const __m256 up = _mm256_and_ps(_mm256_cmp_ps(fraction, half, _CMP_GE_OQ), _mm256_or_ps(one, sign));
    return _mm256_add_ps(whole, up);
  }
  // Below zero the fraction v - floor(v) can be rounded, but never across one half: half_up stays exact, and half_down
  // is half_up mirrored.
  if constexpr (R == Rounding::half_down) v = _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
  const __m256 whole = _mm256_round_ps(v, _MM_FROUND_TO_NEG_INF | exact);
  const __m256 is_up = _mm256_cmp_ps(_mm256_sub_ps(v, whole), half, _CMP_GE_OQ);
  const __m256 rounded = _mm256_add_ps(whole, _mm256_and_ps(is_up, one));
  return R == Rounding::half_down ? _mm256_xor_ps(rounded, _mm256_set1_ps(-0.0f)) : rounded;
}

constexpr int64_t block = 32;  // values that are stored at once

struct Values32 {
  __m256i v[4];
};

// How 8-bit results leave 32-bit values: saturated to 16 bits, plus zero point, saturated to 8 bits, then clamped. That
// is the clamp of the sum of value and zero point, because every step is monotone and the zero point is small.
struct ByteStore {
  __m256i zero_point, low, high;
  bool is_signed;

  // |zero_point| <= 255; low and high are in the range of the type.
  ByteStore(int32_t offset, int32_t lowest, int32_t highest, bool signed_type)
      : zero_point(_mm256_set1_epi16(static_cast<int16_t>(offset))),
        low(_mm256_set1_epi8(static_cast<char>(lowest))),
        high(_mm256_set1_epi8(static_cast<char>(highest))),
        is_signed(signed_type) {}

  // The 32 results in order.
  __m256i results(const Values32& values) const {
    const __m256i a = _mm256_adds_epi16(_mm256_packs_epi32(values.v[0], values.v[1]), zero_point);
    const __m256i b = _mm256_adds_epi16(_mm256_packs_epi32(values.v[2], values.v[3]), zero_point);
    __m256i bytes;
    if (is_signed)
      bytes = _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(a, b), low), high);
    else
      bytes = _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(a, b), low), high);
    // Packing works in 128-bit halves: the order of the 32-bit groups is mended afterwards.
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm256_permutevar8x32_epi32(bytes, order);
  }

  void store(const Values32& values, uint8_t* out) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), results(values));
  }
};

// Stores values that are inside the range of the type.
inline void store_block(DType type, const Values32& values, uint8_t* out) {
  auto* to = reinterpret_cast<__m256i*>(out);
  if (type == DType::int32) {
    for (int i = 0; i < 4; ++i) _mm256_storeu_si256(to + i, values.v[i]);
    return;
  }
  if (type == DType::int16) {
    const __m256i a = _mm256_packs_epi32(values.v[0], values.v[1]), b = _mm256_packs_epi32(values.v[2], values.v[3]);
    _mm256_storeu_si256(to, _mm256_permute4x64_epi64(a, 0xd8));
    _mm256_storeu_si256(to + 1, _mm256_permute4x64_epi64(b, 0xd8));
    return;
  }
  const bool is_signed = type == DType::int8;
  ByteStore(0, is_signed ? INT8_MIN : 0, is_signed ? INT8_MAX : UINT8_MAX, is_signed).store(values, out);
}

inline __m256i load8(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

}  // namespace bittrue

#pragma GCC pop_options
