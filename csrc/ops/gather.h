// Gather along one axis: the axis is replaced by the axes of `indices`; negative indices count from the end.
#pragma once

#include <cstring>
#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Gather final : public Op {
 public:
  explicit Gather(const NodeSpec& node) : view_(node.inputs[0]->shape, node.attributes.integer("axis", 0)) {
    if (node.inputs[0]->dtype != node.outputs[0]->dtype) throw DataError("input and output must have one type");
    if (node.outputs[0]->elements() != view_.outer * node.inputs[1]->elements() * view_.inner)
      throw DataError("the output does not fit the indices");
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>& in) const override { return in[0]; }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext&) const override {
    const int64_t bytes = element_bytes(in[0].dtype()) * view_.inner, n = in[1].elements();
    for (int64_t i = 0; i < n; ++i) {
      int64_t index = load_int(in[1], i);
      if (index < 0) index += view_.length;
      if (index < 0 || index >= view_.length)
        throw DataError("index " + std::to_string(index) + " is outside the axis");
      for (int64_t o = 0; o < view_.outer && bytes > 0; ++o)
        std::memcpy(out[0].data + (o * n + i) * bytes, in[0].data + (o * view_.length + index) * bytes,
                    static_cast<size_t>(bytes));
    }
  }

 private:
  AxisView view_;
};

}  // namespace bittrue
