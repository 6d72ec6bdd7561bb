#include "kernels/depthwise/packed_taps.h"

#include <algorithm>
#include <cstdlib>

namespace bittrue {

namespace {

constexpr int64_t largest_pair = 256;  // sum of magnitudes that cannot saturate
constexpr int64_t signed_offset = 128;

bool all_pairs_fit(const NodeWeights& weights, int64_t taps) {
  for (int64_t c = 0; c < weights.channels; ++c)
    for (int64_t tap = 0; tap + 1 < taps; tap += 2) {
      const int16_t* w = weights.values.data() + c * taps + tap;
      if (std::abs(w[0]) + std::abs(w[1]) > largest_pair) return false;
    }
  return true;
}

// Unpacking takes eight channels from each half of the vectors of two taps.
int64_t unpacked_place(int64_t channel) { return channel / 8 % 2 * tap_block + channel / 16 * 16 + channel % 8 * 2; }

// The range of the products of a weight, as they are multiplied.
ValueRange product_range(int64_t w, ValueRange x) {
  if (w < 0) x = {-x.high - 1, -x.low - 1};
  return {std::abs(w) * x.low, std::abs(w) * x.high};
}

}  // namespace

std::optional<PackedTaps> PackedTaps::pack(const NodeWeights& weights, bool x_is_signed, ValueRange x) {
  if (weights.largest > UINT8_MAX) return std::nullopt;
  const int64_t C = weights.channels, taps = static_cast<int64_t>(weights.values.size()) / C;
  const int64_t offset = x_is_signed ? 0 : signed_offset;
  PackedTaps packed;
  const bool in_pairs = all_pairs_fit(weights, taps);
  const auto stands_alone = [&](int64_t tap) { return !in_pairs || tap + 1 == taps; };
  for (int64_t tap = 0; tap < taps; ++tap) {
    packed.taps_.push_back(tap);
    if (stands_alone(tap) && packed.taps_.size() % 2 == 1) packed.taps_.push_back(-1);
  }
  const int64_t pairs = packed.pairs(), blocks = (C + tap_block - 1) / tap_block;
  const auto block_bytes = static_cast<size_t>(pairs * 2 * tap_block);
  packed.masks_.resize(static_cast<size_t>(blocks) * block_bytes);
  packed.magnitudes_.resize(static_cast<size_t>(blocks) * block_bytes);
  packed.pairs_per_sum_.assign(static_cast<size_t>(blocks), pairs);
  for (int64_t c = 0; c < C; ++c) {
    uint8_t* masks = packed.masks_.data() + static_cast<size_t>(c / tap_block) * block_bytes + c % tap_block;
    uint8_t* magnitudes =
        packed.magnitudes_.data() + static_cast<size_t>(c / tap_block) * block_bytes + unpacked_place(c % tap_block);
    int64_t& correction = packed.corrections_.emplace_back(0);
    std::vector<ValueRange> ranges(static_cast<size_t>(pairs));
    for (int64_t t = 0; t < 2 * pairs; ++t) {
      const int64_t tap = packed.taps_[static_cast<size_t>(t)];
      const int64_t w = tap < 0 ? 0 : weights.values[static_cast<size_t>(c * taps + tap)];
      masks[t * tap_block] = static_cast<uint8_t>(offset ^ (w < 0 ? UINT8_MAX : 0));
      magnitudes[t / 2 * 2 * tap_block + t % 2] = static_cast<uint8_t>(std::abs(w));
      correction += w * offset - std::min<int64_t>(w, 0);
      const ValueRange product = product_range(w, {x.low - offset, x.high - offset});
      ranges[static_cast<size_t>(t / 2)].low += product.low;
      ranges[static_cast<size_t>(t / 2)].high += product.high;
    }
    int64_t& per_sum = packed.pairs_per_sum_[static_cast<size_t>(c / tap_block)];
    const auto is_exact = [&] {
      for (int64_t first = 0; first < pairs; first += per_sum) {
        ValueRange sum;
        for (int64_t i = first; i < std::min(first + per_sum, pairs); ++i) {
          sum.low += ranges[static_cast<size_t>(i)].low;
          sum.high += ranges[static_cast<size_t>(i)].high;
        }
        if (sum.low < INT16_MIN || sum.high > INT16_MAX) return false;
      }
      return true;
    };
    while (per_sum > 1 && !is_exact()) --per_sum;
  }
  for (size_t t = 0; t < packed.taps_.size(); ++t)
    if (packed.taps_[t] < 0) packed.taps_[t] = packed.taps_[t - 1];  // its weights are 0
  return packed;
}

TapBlock PackedTaps::block(int64_t i) const {
  const int64_t offset = i * pairs() * 2 * tap_block;
  return {masks_.data() + offset, magnitudes_.data() + offset, pairs(), pairs_per_sum_[static_cast<size_t>(i)]};
}

}  // namespace bittrue
