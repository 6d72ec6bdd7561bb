#include "kernels/stage/vector_stage.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/path.h"

namespace bittrue {

namespace {

using Kind = VectorStageRule::Kind;
constexpr size_t vector_padding = 16;
constexpr int64_t exact_in_float = int64_t(1) << 24;

bool fits_int32(int64_t v) { return v >= INT32_MIN && v <= INT32_MAX; }

// Whether adding an integer before rounding is the same as adding it afterwards.
bool commutes_with_addition(Rounding r) {
  return r == Rounding::half_up || r == Rounding::half_down || r == Rounding::floor || r == Rounding::ceil;
}

template <class Narrow, class Wide>
std::vector<Narrow> per_channel(const std::vector<Wide>& values, int64_t channels) {
  std::vector<Narrow> out;
  for (int64_t c = 0; c < channels; ++c) out.push_back(static_cast<Narrow>(Requantizer::at(values, c)));
  out.resize(out.size() + vector_padding);
  return out;
}

void store_scalar(DType type, uint8_t* out, int64_t i, int64_t v) {
  const TensorType any{type, {}};
  store_int(Tensor{&any, out}, i, v);
}

}  // namespace

VectorStage::VectorStage(const OutputStage& stage, const std::vector<int32_t>& bias, int64_t largest, DType type,
                         bool vectorize)
    : stage_(stage), channels_(static_cast<int64_t>(bias.size())) {
  rule_.type = type;
  rule_.bias = per_channel<int32_t>(bias, channels_);
  if (vectorize) choose_rule(std::min<int64_t>(largest, int64_t(1) << 31));
}

void VectorStage::choose_rule(int64_t largest) {
  const Requantizer& r = stage_.requant;
  const int64_t low = stage_.clamp_min - stage_.zero_point, high = stage_.clamp_max - stage_.zero_point;
  if (!path_available("avx2") || !fits_int32(low) || !fits_int32(high)) return;
  if (stage_.zero_point != 0 && stage_.zero_point_before_rounding &&
      (r.kind == Requant::float_scale || !commutes_with_addition(r.rounding)))
    return;
  rule_.low = static_cast<int32_t>(low);
  rule_.high = static_cast<int32_t>(high);
  rule_.zero_point = static_cast<int32_t>(stage_.zero_point);
  rule_.rounding = r.rounding;
  rule_.byte_store = info(rule_.type).bits == 8 && std::abs(stage_.zero_point) <= UINT8_MAX;
  const auto [least, most] = std::minmax_element(r.shift.begin(), r.shift.end());
  const bool shift32 = *least >= 0 && *most <= 31;
  rule_.shift = per_channel<int32_t>(r.shift, channels_);
  rule_.multiplier = per_channel<int32_t>(r.multiplier, channels_);
  int64_t largest_multiplier = 0;
  for (int64_t m : r.multiplier) largest_multiplier = std::max(largest_multiplier, std::abs(m));
  const bool integer_rounding = r.rounding != Rounding::add_half_trunc;
  switch (r.kind) {
    case Requant::none:
      rule_.kind = Kind::none;
      return;
    case Requant::shift:
      if (!shift32 || !integer_rounding) return;
      rule_.kind = Kind::shift;
      if (r.rounding == Rounding::half_up && *least >= 1 && largest + (int64_t(1) << (*most - 1)) <= INT32_MAX) {
        rule_.kind = Kind::shift_add;
        for (size_t c = 0; c < static_cast<size_t>(channels_); ++c)
          rule_.bias[c] = static_cast<int32_t>(wrap(rule_.bias[c] + (int64_t(1) << (rule_.shift[c] - 1)), 32));
      }
      return;
    case Requant::multiplier_shift: {
      if (!integer_rounding) return;
      if (shift32 && largest * largest_multiplier <= INT32_MAX) {
        rule_.kind = Kind::multiply32;
        return;
      }
      if (*least < 1 || *most > 62) return;
      // A larger multiplier with a larger shift is the same rule; from 31 on the result fits 32 bits.
      // From 33 on one half is a whole number of the upper half of the product.
      bool narrow = true, upper_half = commutes_with_addition(r.rounding), whole_half = r.rounding == Rounding::half_up;
      for (size_t c = 0; c < static_cast<size_t>(channels_); ++c) {
        int32_t &m = rule_.multiplier[c], &n = rule_.shift[c];
        while (n < 33 && std::abs(int64_t(m)) * 2 <= INT32_MAX) {
          m *= 2;
          ++n;
        }
        narrow = narrow && (n > 31 || (n == 31 && m != INT32_MIN));
        upper_half = upper_half && n > 31;
        whole_half = whole_half && n > 32;
      }
      if (whole_half) {
        rule_.kind = Kind::multiply_high;
        for (size_t c = 0; c < static_cast<size_t>(channels_); ++c) rule_.shift[c] -= 32;
        return;
      }
      if (upper_half) {
        rule_.kind = Kind::multiply64_high;
        return;
      }
      rule_.kind = narrow ? Kind::multiply64 : Kind::multiply64_wide;
      return;
    }
    case Requant::double_round:
      if (shift32 && integer_rounding && r.high_rounding == Rounding::half_up && largest_multiplier <= INT32_MAX)
        rule_.kind = Kind::double_round;
      return;
    case Requant::float_scale:
      if (std::abs(low) > exact_in_float || std::abs(high) > exact_in_float) return;
      rule_.scale = per_channel<float>(r.scale, channels_);
      rule_.kind = Kind::float_scale;
      return;
    case Requant::divide:
      return;
  }
}

int64_t VectorStage::scalar(int32_t sum, int64_t channel) const {
  NoTally none;
  const int64_t biased = wrap(int64_t(sum) + rule_.bias[static_cast<size_t>(channel)], 32);
  return stage_.apply(biased, channel, none);
}

void VectorStage::apply_row(const int32_t* sums, int64_t count, int64_t channel, uint8_t* out) const {
  if (vectorized() && stage_row_avx2(rule_, sums, count, channel, out)) return;
  for (int64_t i = 0; i < count; ++i) store_scalar(rule_.type, out, i, scalar(sums[i], channel));
}

void VectorStage::apply_pixels(const int32_t* sums, const StagePixels& at, uint8_t* out) const {
  if (vectorized() && stage_pixels_avx2(rule_, at, sums, out)) return;
  for (int64_t p = 0; p < at.pixels; ++p)
    for (int64_t c = 0; c < at.channels; ++c)
      store_scalar(rule_.type, out + p * at.out_stride, c, scalar(sums[p * at.sum_stride + c], at.first_channel + c));
}

}  // namespace bittrue
