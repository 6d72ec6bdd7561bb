// Float functions of BM1684, step by step in binary32 (each step through add, sub, mul, so that a FlushGuard rules).
// Source: the published behaviour of the vendor's simulator, bit-compared; see docs/quantized-graph.md.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "arith/float_format.h"

namespace bittrue {

// Truncation toward zero to int32, saturating; NaN gives the maximum.
inline int32_t trunc32(float v) {
  if (v <= -2147483648.0f) return INT32_MIN;
  if (v < 2147483648.0f) return static_cast<int32_t>(v);
  return INT32_MAX;
}

inline float rsqrt_newton(float x) {
  float y = float_from_bits(0x5F3759DFu - (float_bits(x) >> 1));
  const float half = mul(x, 0.5f);
  for (int i = 0; i < 3; ++i) y = mul(y, sub(1.5f, mul(mul(half, y), y)));
  return y;
}

// 1/b as the square of 1/sqrt(|b|), with the sign of b.
inline float recip_newton(float b) {
  const float r = rsqrt_newton(std::fabs(b));
  return std::copysign(mul(r, r), b);
}

// Taylor series of 32 terms on the fraction times a table of exp at integers. Make one outside of a FlushGuard.
class TaylorExp {
 public:
  TaylorExp() {
    for (int i = lowest; i <= highest; ++i)
      whole_[static_cast<size_t>(i - lowest)] = static_cast<float>(std::exp(double(i)));
    coefficient_[0] = 1.0f;
    for (size_t k = 1; k < coefficient_.size(); ++k) coefficient_[k] = coefficient_[k - 1] / static_cast<float>(k + 1);
  }

  float exp(float x) const {
    x = max_of(x, float(lowest));
    x = min_of(x, float(highest));
    const int32_t i = trunc32(x);
    const float r = sub(x, static_cast<float>(i));
    float p = 0.0f;
    for (size_t k = coefficient_.size(); k-- > 0;) p = add(mul(p, r), coefficient_[k]);
    p = add(mul(p, r), 1.0f);
    return mul(p, whole_[static_cast<size_t>(i - lowest)]);
  }
  float sigmoid(float x) const { return recip_newton(add(1.0f, exp(-x))); }
  float tanh(float x) const { return sub(1.0f, mul(2.0f, recip_newton(add(exp(mul(2.0f, x)), 1.0f)))); }
  float elu(float x) const { return x > 0.0f ? x : sub(exp(x), 1.0f); }

 private:
  static constexpr int lowest = -103;
  static constexpr int highest = 88;
  std::array<float, highest - lowest + 1> whole_;
  std::array<float, 32> coefficient_;
};

}  // namespace bittrue
