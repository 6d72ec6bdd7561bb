#include "engine/value_range.h"

#include <algorithm>
#include <set>

#include "ops/concat.h"
#include "ops/shapes.h"
#include "ops/window.h"

namespace bittrue {

namespace {

ValueRange hull(ValueRange a, ValueRange b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }

ValueRange hull_of_inputs(const NodeSpec& node) {
  ValueRange range = node.ranges[0];
  for (const ValueRange& other : node.ranges) range = hull(range, other);
  return range;
}

// Whether a window may hold padding alone, whose maximum is the lowest value of the type.
bool has_empty_window(const NodeSpec& node) {
  const Window w = read_window(node, pool_kernel_of(node));
  const Shape &x = node.inputs[0]->shape, &y = node.outputs[0]->shape;
  const auto last_start = [](int64_t out, int64_t stride, int64_t pad) { return (out - 1) * stride - pad; };
  return w.dilation_h > 1 || w.dilation_w > 1 || w.pad_top >= w.kh || w.pad_left >= w.kw ||
         last_start(y[2], w.stride_h, w.pad_top) >= x[2] || last_start(y[3], w.stride_w, w.pad_left) >= x[3];
}

ValueRange moved_range(const NodeSpec& node) {
  static const std::set<std::string> first_input = {"Reshape", "Transpose", "Slice", "Split",
                                                    "Tile",    "Expand",    "Gather"};
  const Attributes& a = node.attributes;
  if (first_input.count(node.op)) return node.ranges[0];
  if (node.op == "Resize" && a.text("mode", "nearest") == "nearest") return node.ranges[0];
  if (node.op == "MaxPool2d" && a.text("requant", "none") == "none" && a.integer("zero_point", 0) == 0 &&
      !has_empty_window(node))
    return node.ranges[0];
  if (node.op == "Concat" && !Concat::requantizes(a)) return hull_of_inputs(node);
  if (node.op == "Pad" && node.outputs[0]->dtype != DType::float32) {
    const int64_t value = a.integer("value", 0);
    return hull(node.ranges[0], {value, value});
  }
  if (node.op == "Lookup" && node.constant(1).present() && node.outputs[0]->dtype != DType::float32) {
    const std::vector<int32_t> table = widen(node.constant(1));
    const auto [low, high] = std::minmax_element(table.begin(), table.end());
    return {*low, *high};
  }
  return range_of_type(*node.outputs[0]);
}

}  // namespace

ValueRange range_of_type(const TensorType& type) { return {info(type.dtype).min, info(type.dtype).max}; }

ValueRange output_range(const NodeSpec& node) {
  const ValueRange type = range_of_type(*node.outputs[0]), moved = moved_range(node);
  const int64_t low = node.attributes.integer("clamp_min", type.low);
  const int64_t high = node.attributes.integer("clamp_max", type.high);
  // A clamp can leave the range of its input, so that only one end may be limited by it.
  return {std::clamp(moved.low, low, high), std::clamp(moved.high, low, high)};
}

}  // namespace bittrue
