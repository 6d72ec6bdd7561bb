// Shapes in the order in which NHWC kernels find the elements: (N, H, W, C) for four axes, as written for any other
// number.
#pragma once

#include <vector>

#include "engine/op.h"

namespace bittrue {

// Entries that belong to the axes of a shape: the shape itself, or an attribute such as starts or pads.
template <class T>
std::vector<T> in_stored_order(const std::vector<T>& per_axis) {
  if (per_axis.size() != 4) return per_axis;
  return {per_axis[0], per_axis[2], per_axis[3], per_axis[1]};
}

// Where a normal axis (ops/broadcast.h) stands in the stored order.
inline int64_t stored_axis(size_t axis, size_t rank) {
  static constexpr int64_t places[] = {0, 3, 1, 2};
  return rank == 4 ? places[axis] : static_cast<int64_t>(axis);
}

// Whether an input is a constant whose elements lie in another order.
inline bool has_constant_image(const NodeSpec& node) {
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (node.constant(i).present() && node.inputs[i]->shape.size() == 4) return true;
  return false;
}

}  // namespace bittrue
