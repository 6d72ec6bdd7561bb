// Transpose: axis i of the output is axis perm[i] of the input; without perm the axes are reversed.
#pragma once

#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Transpose final : public Op {
 public:
  explicit Transpose(const NodeSpec& node) {
    const Shape& in = node.inputs[0]->shape;
    std::vector<int64_t> perm;
    for (size_t i = in.size(); i-- > 0;) perm.push_back(static_cast<int64_t>(i));
    perm = node.attributes.integers("perm", perm);
    if (perm.size() != in.size()) throw DataError("perm needs one entry per axis");
    if (node.outputs[0]->shape.size() != in.size()) throw DataError("the output does not fit perm");
    const std::vector<int64_t> strides = dense_strides(in);
    for (size_t i = 0; i < perm.size(); ++i) {
      const size_t axis = normal_axis(perm[i], in.size());
      if (node.outputs[0]->shape[i] != in[axis]) throw DataError("the output does not fit perm");
      std::vector<int64_t> offsets;
      for (int64_t j = 0; j < in[axis]; ++j) offsets.push_back(j * strides[axis]);
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
