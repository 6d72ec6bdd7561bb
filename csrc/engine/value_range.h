// The smallest and largest integer that a tensor can hold, as far as the graph proves it: the type, the clamp of the op
// that wrote it, and what the op says of its outputs (Op::moved_range).
#pragma once

#include "engine/op.h"

namespace bittrue {

ValueRange range_of_type(const TensorType& type);

// The range of one output of `node`, whose inputs have the ranges node.ranges. `op` is its reference op.
ValueRange output_range(const NodeSpec& node, const Op& op, size_t output);

}  // namespace bittrue
