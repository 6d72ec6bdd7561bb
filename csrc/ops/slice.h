// Slice: element i of an axis is element start + i * step of the input; the shape of the output gives the lengths.
#pragma once

#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Slice final : public Op {
 public:
  explicit Slice(const NodeSpec& node) {
    const Shape &in = node.inputs[0]->shape, &out = node.outputs[0]->shape;
    const std::vector<int64_t> starts = node.attributes.integers("starts");
    const std::vector<int64_t> steps = node.attributes.integers("steps", std::vector<int64_t>(in.size(), 1));
    if (starts.size() != in.size() || steps.size() != in.size() || out.size() != in.size())
      throw DataError("a start and a step for every axis are needed");
    const std::vector<int64_t> strides = dense_strides(in);
    for (size_t axis = 0; axis < in.size(); ++axis) {
      std::vector<int64_t> offsets;
      const int64_t start = starts[axis] < 0 ? starts[axis] + in[axis] : starts[axis];
      for (int64_t i = 0; i < out[axis]; ++i) {
        const int64_t from = start + i * steps[axis];
        if (from < 0 || from >= in[axis]) throw DataError("the slice leaves axis " + std::to_string(axis));
        offsets.push_back(from * strides[axis]);
      }
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
