// Dot products of 16-bit rows into 32-bit sums, four at a time. The operands are 8-bit values less a zero point, so
// their products fit 17 bits and a sum is exact while `fits_int32` holds.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace bittrue {

// Largest magnitude of an 8-bit value less a zero point.
constexpr int64_t largest_8bit_difference(int64_t min, int64_t max, int64_t zero_point) {
  const int64_t low = zero_point - min, high = max - zero_point;
  return low > high ? low : high;
}

// Whether a sum of `terms` products of the given magnitudes stays inside int32.
constexpr bool fits_int32(int64_t terms, int64_t largest_a, int64_t largest_b) {
  return terms * largest_a * largest_b <= INT32_MAX;
}

inline void dot4_i16(const int16_t* a, const int16_t* b, int64_t stride_b, int64_t K, int32_t sums[4]) {
  const int16_t *b0 = b, *b1 = b + stride_b, *b2 = b + 2 * stride_b, *b3 = b + 3 * stride_b;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int64_t k = 0; k < K; ++k) {
    const int32_t v = a[k];
    s0 += v * b0[k];
    s1 += v * b1[k];
    s2 += v * b2[k];
    s3 += v * b3[k];
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

}  // namespace bittrue
