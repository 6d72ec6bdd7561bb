// Pad: pads as in ONNX (begins of all axes, then ends; negative crops), mode constant, edge or reflect.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Pad final : public Op {
 public:
  explicit Pad(const NodeSpec& node) : fill_(8) {
    const Shape &in = node.inputs[0]->shape, &out = node.outputs[0]->shape;
    const std::vector<int64_t> pads = node.attributes.integers("pads");
    const int mode = node.attributes.choice<int>("mode", {"constant", "edge", "reflect"}, "constant");
    if (pads.size() != 2 * in.size() || out.size() != in.size()) throw DataError("two pads per axis are needed");
    const std::vector<int64_t> strides = dense_strides(in);
    for (size_t axis = 0; axis < in.size(); ++axis) {
      const int64_t n = in[axis];
      if (out[axis] != n + pads[axis] + pads[axis + in.size()]) throw DataError("the output does not fit the pads");
      std::vector<int64_t> offsets;
      for (int64_t i = 0; i < out[axis]; ++i) {
        int64_t from = i - pads[axis];
        if (mode == 1) from = std::clamp<int64_t>(from, 0, n - 1);
        if (mode == 2 && n > 1) {
          const int64_t period = 2 * (n - 1);
          from = (from % period + period) % period;
          if (from >= n) from = period - from;
        }
        offsets.push_back(from < 0 || from >= n ? (mode == 2 ? 0 : -1) : from * strides[axis]);
      }
      offsets_.push_back(offsets);
    }
    TensorType one{node.inputs[0]->dtype, {1}};
    const Tensor value{&one, fill_.data()};
    if (one.dtype == DType::float32)
      value.as<float>()[0] = static_cast<float>(node.attributes.real("value", 0.0));
    else
      store_int(value, 0, value_ = node.attributes.integer("value", 0));
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>& in) const override {
    return hull(in[0], {value_, value_});
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext&) const override {
    copy_mapped(in[0], out[0], offsets_, fill_.data());
  }

 private:
  AxisOffsets offsets_;
  std::vector<uint8_t> fill_;
  int64_t value_ = 0;  // of integers
};

}  // namespace bittrue
