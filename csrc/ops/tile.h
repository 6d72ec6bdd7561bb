// Tile: every axis repeated repeats[axis] times.
#pragma once

#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Tile final : public Op {
 public:
  explicit Tile(const NodeSpec& node) {
    const Shape &in = node.inputs[0]->shape, &out = node.outputs[0]->shape;
    const std::vector<int64_t> repeats = node.attributes.integers("repeats");
    if (repeats.size() != in.size() || out.size() != in.size()) throw DataError("repeats needs one entry per axis");
    const std::vector<int64_t> strides = dense_strides(in);
    for (size_t axis = 0; axis < in.size(); ++axis) {
      if (out[axis] != in[axis] * repeats[axis]) throw DataError("the output does not fit the repeats");
      std::vector<int64_t> offsets;
      for (int64_t i = 0; i < out[axis]; ++i) offsets.push_back(i % in[axis] * strides[axis]);
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
