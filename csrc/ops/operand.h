// Operands of element-wise ops: from an index of the output to the index of the operand it reads.
#pragma once

#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"
#include "ops/shapes.h"

namespace bittrue {

class Operand {
 public:
  Operand(const Shape& operand, const Shape& output)
      : output_(output), strides_(broadcast_strides(operand, output)), same_(operand == output) {}

  int64_t at(int64_t index) const { return same_ ? index : strided_offset(index, output_, strides_); }

 private:
  Shape output_;
  std::vector<int64_t> strides_;
  bool same_;
};

// All inputs of a node against its first output.
inline std::vector<Operand> read_operands(const NodeSpec& node) {
  require_inputs(node, node.inputs.size());
  require(node.inputs.size() >= 2, "two or more operands are needed");
  std::vector<Operand> all;
  for (const TensorType* input : node.inputs) all.emplace_back(input->shape, node.outputs[0]->shape);
  return all;
}

}  // namespace bittrue
