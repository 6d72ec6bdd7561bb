// The smallest and largest integer that a tensor can hold, as far as the graph proves it: the type, the clamp of the op
// that wrote it, the entries of a lookup table, or the ranges of the tensors whose elements an op only moves.
#pragma once

#include "engine/op.h"

namespace bittrue {

ValueRange range_of_type(const TensorType& type);

// The range of the first output of `node`, whose inputs have the ranges node.ranges.
ValueRange output_range(const NodeSpec& node);

}  // namespace bittrue
