// The weights of a depthwise convolution, packed for tap_sums.h.
#pragma once

#include <optional>
#include <vector>

#include "engine/op.h"
#include "kernels/depthwise/tap_sums.h"
#include "kernels/gemm_i8/node_operands.h"

namespace bittrue {

class PackedTaps {
 public:
  // `x` is the range of the values, padding included. Nothing if a weight needs more than eight bits and a sign.
  static std::optional<PackedTaps> pack(const NodeWeights& weights, bool x_is_signed, ValueRange x);

  // The tap of the kernel that each packed tap reads. Taps stand alone in a pair where two weights would be too large.
  const std::vector<int64_t>& taps() const { return taps_; }
  int64_t blocks() const { return static_cast<int64_t>(pairs_per_sum_.size()); }
  TapBlock block(int64_t i) const;
  // What is to be added to the sum of a channel to make it the sum of w * x.
  int64_t correction(int64_t channel) const { return corrections_[static_cast<size_t>(channel)]; }

 private:
  int64_t pairs() const { return static_cast<int64_t>(taps_.size()) / 2; }

  std::vector<int64_t> taps_;
  std::vector<uint8_t> masks_, magnitudes_;  // of all blocks
  std::vector<int64_t> pairs_per_sum_;       // of each block
  std::vector<int64_t> corrections_;
};

}  // namespace bittrue
