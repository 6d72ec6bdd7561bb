// Expand: numpy broadcast to the shape of the output.
#pragma once

#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Expand final : public Op {
 public:
  explicit Expand(const NodeSpec& node) {
    const Shape& out = node.outputs[0]->shape;
    const std::vector<int64_t> strides = broadcast_strides(node.inputs[0]->shape, out);
    for (size_t axis = 0; axis < out.size(); ++axis) {
      std::vector<int64_t> offsets;
      for (int64_t i = 0; i < out[axis]; ++i) offsets.push_back(i * strides[axis]);
      offsets_.push_back(offsets);
    }
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>& in) const override { return in[0]; }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext&) const override {
    copy_mapped(in[0], out[0], offsets_);
  }

 private:
  AxisOffsets offsets_;
};

}  // namespace bittrue
