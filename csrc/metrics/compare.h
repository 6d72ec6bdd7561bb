// One pass over a reference tensor r and a tested tensor g: exact counts, the histogram of differences and the sums
// that every metric is derived from (python/bittrue/verify/metrics.py names the formulas). d = g - r.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace bittrue {

// A tensor as (outer, channels, inner), so that one channel of one sample is one row of contiguous elements.
struct ChannelView {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
  int64_t elements() const { return outer * channels * inner; }
};

struct WorstElement {
  double magnitude;
  int64_t index;
};

struct ChannelErrors {
  int64_t bad = 0;
  double largest = 0;
  double d = 0, dd = 0, rr = 0;
};

// Differences -8..8 have a bin each; larger ones share a bin per sign up to 16, 32, 64, 128 and beyond.
class DifferenceHistogram {
 public:
  static constexpr int fine = 8;
  static constexpr int coarse = 5;
  static constexpr int bins = 2 * fine + 1 + 2 * coarse;
  std::array<int64_t, bins> counts{};

  void add(double d, int64_t times = 1) { counts[static_cast<size_t>(bin(d))] += times; }

 private:
  // Ascending: the coarse bins of negative differences, -8..8, the coarse bins of positive differences.
  static int bin(double d) {
    const double magnitude = std::fabs(d);
    const int middle = coarse + fine;
    if (magnitude <= fine) return middle + static_cast<int>(d);
    int octave = 1;
    for (double edge = 16; octave < coarse && magnitude > edge; edge *= 2) ++octave;
    return d < 0 ? middle - fine - octave : middle + fine + octave;
  }
};

struct Comparison {
  int64_t n = 0, bad = 0, first_bad = -1;
  int64_t finite = 0;          // elements that are finite on both sides: the sums are theirs
  int64_t nonfinite = 0;       // bad elements with a NaN or an infinity on either side
  int64_t vendor_refuses = 0;  // of those, what the vendor's tester calls an error (not: NaN expected, both infinite)
  int64_t nan_equal = 0;       // NaN on both sides: equal whatever the payload
  int64_t signed_zero = 0;     // +0 against -0: equal
  std::array<int64_t, 2> nans{}, infinities{};              // reference, tested
  std::array<int64_t, 2> saturated_ref{}, saturated_got{};  // integers at the lowest and the highest value of the type
  DifferenceHistogram histogram;                            // integers, and floats on the grid of a scale
  bool on_grid = true;                                      // floats with a scale: every value is a multiple of it
  uint64_t distance = 0;                                    // largest |d| of integers, exact
  double largest = 0;                                       // largest |d|, finite elements
  double largest_relative = 0;                              // floats: |d| / max(|r|, |g|)
  double largest_vendor = 0;                                // floats: the vendor tester's measure, see vendor_measure()
  double largest_ulp = 0;                                   // floats: distance in representable numbers
  double d = 0, abs_d = 0, dd = 0, r = 0, abs_r = 0, rr = 0, gg = 0, rg = 0;
  double relative = 0;  // sum of |d| / |r| over r != 0
  int64_t zeros = 0;    // r == 0
  std::vector<ChannelErrors> channels;
  std::vector<WorstElement> worst;  // largest first, lower index first among equals
};

// Relative to the smaller magnitude where one of both exceeds 1, else absolute; infinite where the tester's division is
// by less than 1e-20. A float tolerance X of the tester passes exactly if no element has a larger measure (in double).
inline double vendor_measure(double r, double g) {
  const double difference = std::fabs(g - r), a = std::fabs(r), b = std::fabs(g);
  if (std::max(a, b) <= 1.0) return difference;
  const double smaller = std::min(a, b);
  return smaller < 1e-20 ? std::numeric_limits<double>::infinity() : difference / smaller;
}

// Position of a float among the representable numbers, both zeros at 0.
template <class T>
double ordinal(T v) {
  using Bits = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  Bits bits;
  std::memcpy(&bits, &v, sizeof v);
  return bits < 0 ? -static_cast<double>(bits & std::numeric_limits<Bits>::max()) : static_cast<double>(bits);
}

template <class T>
class Comparer {
 public:
  // `scale`: step of the grid of dequantized floats, 0 if there is none. `listed`: how many worst elements to keep.
  Comparer(const T* r, const T* g, const ChannelView& view, double scale, size_t listed)
      : r_(r), g_(g), view_(view), scale_(scale), listed_(listed) {}

  Comparison run() {
    c_.n = view_.elements();
    c_.channels.resize(static_cast<size_t>(view_.channels));
    c_.on_grid = integer || scale_ != 0;
    if constexpr (integer) c_.finite = c_.n;
    for (int64_t row = 0; row < view_.outer * view_.channels; ++row)
      for (int64_t start = 0; start < view_.inner; start += block) {
        const int64_t begin = row * view_.inner + start;
        const int64_t end = begin + std::min(block, view_.inner - start);
        Part part;
        if constexpr (integer)
          integers(begin, end, part);
        else
          floats(begin, end, part);
        merge(part, c_.channels[static_cast<size_t>(row % view_.channels)]);
      }
    std::sort(c_.worst.begin(), c_.worst.end(), before);
    return std::move(c_);
  }

 private:
  static constexpr bool integer = std::is_integral_v<T>;
  static constexpr int64_t block = 65536;  // sums are added block by block, in order
  using Limits = std::numeric_limits<T>;
  // Sums of a block of narrow integers are exact in 64 bits.
  using Sum = std::conditional_t<integer && sizeof(T) <= 2, int64_t, double>;

  struct Part {
    int64_t bad = 0;
    double largest = 0;
    Sum d = 0, abs_d = 0, dd = 0, r = 0, abs_r = 0, rr = 0, gg = 0, rg = 0;
  };

  void integers(int64_t begin, int64_t end, Part& p) {
    const bool equal = std::memcmp(r_ + begin, g_ + begin, static_cast<size_t>(end - begin) * sizeof(T)) == 0;
    int64_t zeros = 0, low[2] = {0, 0}, high[2] = {0, 0};
    Sum rr = 0, gg = 0, rg = 0, sum = 0, magnitude = 0;
    for (int64_t i = begin; i < end; ++i) {
      const Sum r = static_cast<Sum>(r_[i]);
      rr += r * r;
      sum += r;
      magnitude += r < 0 ? -r : r;
      zeros += r_[i] == 0;
      low[0] += r_[i] == Limits::min();
      high[0] += r_[i] == Limits::max();
    }
    if (equal) {
      gg = rg = rr;
      low[1] = low[0];
      high[1] = high[0];
      c_.histogram.add(0, end - begin);
    } else {
      for (int64_t i = begin; i < end; ++i) {
        const Sum r = static_cast<Sum>(r_[i]), g = static_cast<Sum>(g_[i]);
        gg += g * g;
        rg += r * g;
        low[1] += g_[i] == Limits::min();
        high[1] += g_[i] == Limits::max();
      }
      int64_t bad = 0;
      for (int64_t i = begin; i < end; ++i)
        if (r_[i] != g_[i]) {
          ++bad;
          different_integers(i, p);
        }
      c_.histogram.add(0, end - begin - bad);
    }
    p.rr = rr, p.gg = gg, p.rg = rg, p.r = sum, p.abs_r = magnitude;
    c_.zeros += zeros;
    for (size_t side = 0; side < 2; ++side) {
      auto& saturated = side == 0 ? c_.saturated_ref : c_.saturated_got;
      saturated[0] += low[side];
      saturated[1] += high[side];
    }
  }

  void different_integers(int64_t i, Part& p) {
    const T r = r_[i], g = g_[i];
    // The difference modulo 2^64 is exact: it fits for every pair of one type.
    const uint64_t distance = g > r ? static_cast<uint64_t>(g) - static_cast<uint64_t>(r)
                                    : static_cast<uint64_t>(r) - static_cast<uint64_t>(g);
    c_.distance = std::max(c_.distance, distance);
    const double magnitude = static_cast<double>(distance), d = g > r ? magnitude : -magnitude;
    c_.histogram.add(d);
    different(i, static_cast<double>(r), static_cast<double>(g), d, p);
  }

  void floats(int64_t begin, int64_t end, Part& p) {
    for (int64_t i = begin; i < end; ++i) {
      const T rv = r_[i], gv = g_[i];
      if (!std::isfinite(rv) || !std::isfinite(gv)) {
        nonfinite(i, rv, gv, p);
        continue;
      }
      ++c_.finite;
      const double r = static_cast<double>(rv), g = static_cast<double>(gv);
      p.rr += r * r;
      p.gg += g * g;
      p.rg += r * g;
      p.r += r;
      p.abs_r += std::fabs(r);
      c_.zeros += r == 0;
      if (scale_ != 0) grid(r, g);
      if (r == g) {
        c_.signed_zero += r == 0 && std::signbit(rv) != std::signbit(gv);
        continue;
      }
      c_.largest_ulp = std::max(c_.largest_ulp, std::fabs(ordinal(gv) - ordinal(rv)));
      different(i, r, g, g - r, p);
    }
  }

  // An element with a NaN or an infinity: counted, and left out of the sums.
  void nonfinite(int64_t i, T r, T g, Part& p) {
    c_.nans[0] += std::isnan(r);
    c_.nans[1] += std::isnan(g);
    c_.infinities[0] += std::isinf(r);
    c_.infinities[1] += std::isinf(g);
    if (std::isnan(r) && std::isnan(g)) {
      ++c_.nan_equal;
    } else if (r != g) {
      ++p.bad;
      ++c_.nonfinite;
      c_.vendor_refuses += !std::isnan(r) && !(std::isinf(r) && std::isinf(g));
      note(i, std::numeric_limits<double>::infinity());
    }
  }

  void grid(double r, double g) {
    const double steps_r = std::nearbyint(r / scale_), steps_g = std::nearbyint(g / scale_);
    if (std::fabs(r / scale_ - steps_r) > 1e-3 || std::fabs(g / scale_ - steps_g) > 1e-3) c_.on_grid = false;
    c_.histogram.add(steps_g - steps_r);
  }

  void different(int64_t i, double r, double g, double d, Part& p) {
    const double magnitude = std::fabs(d);
    ++p.bad;
    p.largest = std::max(p.largest, magnitude);
    p.d += static_cast<Sum>(d);
    p.abs_d += static_cast<Sum>(magnitude);
    p.dd += static_cast<Sum>(d) * static_cast<Sum>(d);
    if (r != 0) c_.relative += magnitude / std::fabs(r);
    if constexpr (!integer) {
      c_.largest_relative = std::max(c_.largest_relative, magnitude / std::max(std::fabs(r), std::fabs(g)));
      c_.largest_vendor = std::max(c_.largest_vendor, vendor_measure(r, g));
    }
    note(i, magnitude);
  }

  static bool before(const WorstElement& a, const WorstElement& b) {
    return a.magnitude != b.magnitude ? a.magnitude > b.magnitude : a.index < b.index;
  }

  void note(int64_t i, double magnitude) {
    if (c_.first_bad < 0) c_.first_bad = i;
    const WorstElement element{magnitude, i};
    auto& heap = c_.worst;  // its front is the least bad
    if (heap.size() < listed_) {
      heap.push_back(element);
      std::push_heap(heap.begin(), heap.end(), before);
    } else if (!heap.empty() && before(element, heap.front())) {
      std::pop_heap(heap.begin(), heap.end(), before);
      heap.back() = element;
      std::push_heap(heap.begin(), heap.end(), before);
    }
  }

  void merge(const Part& p, ChannelErrors& channel) {
    const auto real = [](Sum v) { return static_cast<double>(v); };
    c_.bad += p.bad;
    c_.largest = std::max(c_.largest, p.largest);
    c_.d += real(p.d);
    c_.abs_d += real(p.abs_d);
    c_.dd += real(p.dd);
    c_.r += real(p.r);
    c_.abs_r += real(p.abs_r);
    c_.rr += real(p.rr);
    c_.gg += real(p.gg);
    c_.rg += real(p.rg);
    channel.bad += p.bad;
    channel.largest = std::max(channel.largest, p.largest);
    channel.d += real(p.d);
    channel.dd += real(p.dd);
    channel.rr += real(p.rr);
  }

  const T* r_;
  const T* g_;
  ChannelView view_;
  double scale_;
  size_t listed_;
  Comparison c_;
};

}  // namespace bittrue
