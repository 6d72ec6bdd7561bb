// Passes over activations for calibration: range, histogram of the published code, sums of the threshold methods.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace bittrue {

struct Range {
  int64_t nonfinite = -1;  // index of the first NaN or infinity, -1 without any
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
};

inline Range range_of(const float* x, int64_t n) {
  Range range;
  float broken = 0.0f;  // NaN as soon as a value is not finite: x * 0
  for (int64_t i = 0; i < n; ++i) {
    range.low = x[i] < range.low ? x[i] : range.low;
    range.high = x[i] > range.high ? x[i] : range.high;
    broken += x[i] * 0.0f;
  }
  if (broken != 0.0f || std::isnan(broken))
    for (int64_t i = 0; i < n && range.nonfinite < 0; ++i)
      if (!std::isfinite(x[i])) range.nonfinite = i;
  return range;
}

// bin = min(floor(|x| / width + 0.5), bins - 1), quotient and sum in binary32; zeros are not counted. Evidence: source
// (the published Sophgo code).
inline void add_rounded_histogram(const float* x, int64_t n, float width, int64_t* counts, int64_t bins) {
  const auto last = static_cast<float>(bins - 1);
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] == 0.0f) continue;
    const float bin = std::fabs(x[i]) / width + 0.5f;
    ++counts[bin < last ? static_cast<int64_t>(bin) : bins - 1];
  }
}

// Half to even for magnitudes below 2^51.
inline double round_half_even(double v) {
  constexpr double kShift = 6755399441055744.0;
  return (v + kShift) - kShift;
}

inline double quantized(double x, double scale, double low, double high) {
  const double v = x / scale;
  return round_half_even(v < low ? low : v > high ? high : v);
}

struct ScaleSums {
  double xq = 0.0;
  double qq = 0.0;
};

// Sums of x * q and q * q with the codes q = clip(x / scale, -limit, limit).
template <class T>
ScaleSums scale_sums(const T* x, int64_t n, double scale, double limit) {
  ScaleSums sums;
  for (int64_t i = 0; i < n; ++i) {
    const double q = quantized(static_cast<double>(x[i]), scale, -limit, limit);
    sums.xq += static_cast<double>(x[i]) * q;
    sums.qq += q * q;
  }
  return sums;
}

// Sum of (x - scale * q)^2 with the codes q = clip(x / scale, -limit - 1, limit).
template <class T>
double squared_error(const T* x, int64_t n, double scale, double limit) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - scale * quantized(static_cast<double>(x[i]), scale, -limit - 1, limit);
    sum += d * d;
  }
  return sum;
}

struct Tail {
  double sum = 0.0;
  int64_t count = 0;
};

// Sum and number of the magnitudes above a threshold.
template <class T>
Tail tail_above(const T* x, int64_t n, double threshold) {
  Tail tail;
  for (int64_t i = 0; i < n; ++i) {
    const double magnitude = std::fabs(static_cast<double>(x[i]));
    const bool above = magnitude > threshold;
    tail.sum += above ? magnitude : 0.0;
    tail.count += above;
  }
  return tail;
}

}  // namespace bittrue
