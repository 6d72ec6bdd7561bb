// The output stage: what happens between an exact integer sum and the stored value. Every integer op ends here, in the
// reference and in the fast kernels alike, so "fast equals reference" is a statement about sums only.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "arith/rounding.h"
#include "arith/saturate.h"

namespace bittrue {

enum class Requant : uint8_t {
  none,
  shift,             // R(v, shift)
  multiplier_shift,  // R(v * multiplier, shift), exact product
  double_round,  // R(sat32(R(sat32(v << left) * multiplier, 31)), right); left/right = negative/positive shift (TFLite)
  float_scale,   // R(fl32(fl32(v) * scale))
  divide         // R(v / divisor), the divisor given by the op (average pooling over the valid window)
};

// Scales an exact integer by a named rule. Parameter vectors hold one entry or one per channel.
struct Requantizer {
  Requant kind = Requant::none;
  Rounding rounding = Rounding::half_up;
  Rounding high_rounding = Rounding::half_up;  // double_round only: rounding of the high multiply
  std::vector<int64_t> multiplier;
  std::vector<int64_t> shift;
  std::vector<float> scale;

  template <class P>
  static const P& at(const std::vector<P>& v, int64_t channel) {
    return v[v.size() == 1 ? 0 : static_cast<size_t>(channel)];
  }

  // `offset` is added before rounding (float_scale) or to the exact value in units of the result; integer kinds add it
  // before their last shift. It is zero unless the zero point is folded in before rounding.
  int64_t apply(int64_t v, int64_t channel, int64_t divisor = 1, int64_t offset = 0) const {
    switch (kind) {
      case Requant::none:
        return v + offset;
      case Requant::shift:
        return narrow(shifted(int128(v), shift_of(channel), offset));
      case Requant::multiplier_shift:
        return narrow(shifted(int128(v) * at(multiplier, channel), shift_of(channel), offset));
      case Requant::double_round: {
        const int n = shift_of(channel);
        const int left = n < 0 ? -n : 0;
        const int right = n > 0 ? n : 0;
        const int64_t high =
            clamp(narrow(int128(v) * (int128(1) << left)), INT32_MIN, INT32_MAX) * at(multiplier, channel);
        const int64_t rounded = clamp(shift_right<int64_t>(high, 31, high_rounding), INT32_MIN, INT32_MAX);
        return narrow(shifted(int128(rounded), right, offset));
      }
      case Requant::float_scale: {
        const float scaled = static_cast<float>(v) * at(scale, channel);
        return round_real(offset == 0 ? scaled : scaled + static_cast<float>(offset), rounding);
      }
      case Requant::divide:
        return divide<int64_t>(v + offset * divisor, divisor, rounding);
    }
    return v;
  }

 private:
  int shift_of(int64_t channel) const { return static_cast<int>(at(shift, channel)); }
  int128 shifted(int128 v, int n, int64_t offset) const {
    return shift_right<int128>(n > 0 ? v + int128(offset) * (int128(1) << n) : v, n, rounding) + (n > 0 ? 0 : offset);
  }
  static int64_t narrow(int128 v) {
    return v < -far_outside ? -far_outside : (v > far_outside ? far_outside : static_cast<int64_t>(v));
  }
};

// What a counting run records about one layer. The non-counting twin compiles to nothing.
struct Tally {
  int64_t values = 0;
  int64_t saturated_low = 0;
  int64_t saturated_high = 0;
  int64_t overflowed = 0;  // exact sums outside int32
  int64_t sum_min = std::numeric_limits<int64_t>::max();
  int64_t sum_max = std::numeric_limits<int64_t>::min();

  void sum(int64_t exact) {
    if (exact < sum_min) sum_min = exact;
    if (exact > sum_max) sum_max = exact;
    overflowed += exact < INT32_MIN || exact > INT32_MAX;
  }
  void value(int64_t before_clamp, int64_t lo, int64_t hi) {
    ++values;
    saturated_low += before_clamp < lo;
    saturated_high += before_clamp > hi;
  }
  void merge(const Tally& other) {
    values += other.values;
    saturated_low += other.saturated_low;
    saturated_high += other.saturated_high;
    overflowed += other.overflowed;
    if (other.sum_min < sum_min) sum_min = other.sum_min;
    if (other.sum_max > sum_max) sum_max = other.sum_max;
  }
};

struct NoTally {
  void sum(int64_t) {}
  void value(int64_t, int64_t, int64_t) {}
};

// accumulator rule -> requantization -> zero point -> clamp
struct OutputStage {
  Accumulator accumulator = Accumulator::exact64;
  Requantizer requant;
  int64_t zero_point = 0;
  bool zero_point_before_rounding = false;
  int64_t clamp_min = 0;
  int64_t clamp_max = 0;

  template <class Counting>
  int64_t apply(int64_t exact_sum, int64_t channel, Counting& tally, int64_t divisor = 1) const {
    tally.sum(exact_sum);
    const int64_t sum = accumulate(exact_sum, accumulator);
    const int64_t v = zero_point_before_rounding ? requant.apply(sum, channel, divisor, zero_point)
                                                 : requant.apply(sum, channel, divisor) + zero_point;
    tally.value(v, clamp_min, clamp_max);
    return clamp(v, clamp_min, clamp_max);
  }
};

}  // namespace bittrue
