// The input stages of n-input ops: p_i = requant_i((x_i - zero_point_i) << left_shift), broadcast as numpy does.
#pragma once

#include <vector>

#include "engine/stage_attributes.h"
#include "ops/operand.h"

namespace bittrue {

class InputStages {
 public:
  InputStages(const NodeSpec& node)
      : requant_(read_requantizer(node.attributes, static_cast<int64_t>(node.inputs.size()), "input_")),
        zero_points_(node.attributes.integers("input_zero_point", {0})),
        left_shift_(node.attributes.integer("left_shift", 0)) {
    if (zero_points_.size() != 1 && zero_points_.size() != node.inputs.size())
      throw DataError("input_zero_point needs one entry or one per input");
    if (left_shift_ < 0 || left_shift_ > 31) throw DataError("left_shift is outside 0..31");
  }

  int64_t apply(int64_t x, size_t input) const {
    const auto i = static_cast<int64_t>(input);
    return requant_.apply((x - Requantizer::at(zero_points_, i)) * (int64_t(1) << left_shift_), i);
  }

 private:
  Requantizer requant_;
  std::vector<int64_t> zero_points_;
  int64_t left_shift_;
};

}  // namespace bittrue
