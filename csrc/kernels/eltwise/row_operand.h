// Operands of element-wise ops that repeat along the output: a value for each channel, or one for all.
#pragma once

#include <algorithm>
#include <optional>

#include "engine/op.h"

namespace bittrue {

// Element i of an image of the output, in NHWC, meets element i % row of the operand, or of its part for that image.
// The other of the two inputs has the shape of the output.
struct RowOperand {
  size_t input;
  int64_t images, row;
  bool per_image;
};

// Nothing if neither input is one.
inline std::optional<RowOperand> row_operand(const NodeSpec& node) {
  const Shape& y = node.outputs[0]->shape;
  if (node.inputs.size() != 2 || node.outputs[0]->elements() == 0) return std::nullopt;
  for (const size_t k : {size_t(1), size_t(0)}) {
    if (node.inputs[1 - k]->shape != y || node.inputs[k]->shape.size() > y.size()) continue;
    Shape x(y.size() - node.inputs[k]->shape.size(), 1);
    x.insert(x.end(), node.inputs[k]->shape.begin(), node.inputs[k]->shape.end());
    if (y.size() == 4) {
      if (x[2] != 1 || x[3] != 1) continue;
      return RowOperand{k, y[0], x[1], x[0] > 1};
    }
    size_t axis = 0;  // the first that does not repeat
    while (axis < x.size() && x[axis] == 1) ++axis;
    if (std::equal(x.begin() + static_cast<std::ptrdiff_t>(axis), x.end(),
                   y.begin() + static_cast<std::ptrdiff_t>(axis)))
      return RowOperand{k, 1, count(x), false};
  }
  return std::nullopt;
}

}  // namespace bittrue
