#include "engine/value_range.h"

#include <algorithm>

namespace bittrue {

ValueRange range_of_type(const TensorType& type) { return {info(type.dtype).min, info(type.dtype).max}; }

ValueRange output_range(const NodeSpec& node, const Op& op, size_t output) {
  const ValueRange type = range_of_type(*node.outputs[output]), moved = op.moved_range(node.ranges).value_or(type);
  // Every op that has a clamp ends with it (docs/quantized-graph.md).
  const int64_t low = node.attributes.integer("clamp_min", type.low);
  const int64_t high = node.attributes.integer("clamp_max", type.high);
  return {std::clamp(moved.low, low, high), std::clamp(moved.high, low, high)};
}

}  // namespace bittrue
