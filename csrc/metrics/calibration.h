// Passes over activations for calibration: range, histogram of the published code, sums of the threshold methods.
#pragma once

#include <array>
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
  constexpr size_t kLanes = 16;  // independent sums, so that the loop vectorizes
  std::array<float, kLanes> low;
  std::array<float, kLanes> high;
  std::array<float, kLanes> broken{};  // NaN as soon as a value is not finite: x * 0
  Range range;
  low.fill(range.low);
  high.fill(range.high);
  const auto see = [&](size_t lane, float v) {
    low[lane] = v < low[lane] ? v : low[lane];
    high[lane] = v > high[lane] ? v : high[lane];
    broken[lane] += v * 0.0f;
  };
  int64_t i = 0;
  for (; i + static_cast<int64_t>(kLanes) <= n; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) see(lane, x[i + static_cast<int64_t>(lane)]);
  for (; i < n; ++i) see(0, x[i]);
  bool finite = true;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    range.low = low[lane] < range.low ? low[lane] : range.low;
    range.high = high[lane] > range.high ? high[lane] : range.high;
    finite = finite && broken[lane] == 0.0f;
  }
  for (i = 0; !finite && i < n && range.nonfinite < 0; ++i)
    if (!std::isfinite(x[i])) range.nonfinite = i;
  return range;
}

// bin = min(floor(|x| / width + 0.5), bins - 1), quotient and sum in binary32; zeros are not counted. Evidence: source
// (the published Sophgo code).
inline void add_rounded_histogram(const float* x, int64_t n, float width, int64_t* counts, int64_t bins) {
  constexpr int64_t kChunk = 1024;  // bins of a chunk are found first, which vectorizes, then counted
  std::array<int32_t, kChunk> chunk;
  const auto last = static_cast<float>(bins - 1);
  int64_t zeros = 0;
  for (int64_t start = 0; start < n; start += kChunk) {
    const int64_t size = n - start < kChunk ? n - start : kChunk;
    const float* part = x + start;
    int32_t chunk_zeros = 0;
    for (int64_t i = 0; i < size; ++i) {
      const float bin = std::fabs(part[i]) / width + 0.5f;
      chunk[static_cast<size_t>(i)] = static_cast<int32_t>(bin < last ? bin : last);
      chunk_zeros += part[i] == 0.0f;
    }
    for (int64_t i = 0; i < size; ++i) ++counts[chunk[static_cast<size_t>(i)]];
    zeros += chunk_zeros;
  }
  counts[0] -= zeros;  // a zero falls into the first bin
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
