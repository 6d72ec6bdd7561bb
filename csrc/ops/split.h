// Split along one axis; the shapes of the outputs give the lengths.
#pragma once

#include <cstring>
#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Split final : public Op {
 public:
  explicit Split(const NodeSpec& node) : view_(node.inputs[0]->shape, node.attributes.integer("axis", 0)) {
    int64_t length = 0;
    for (const TensorType* type : node.outputs) {
      const AxisView part(type->shape, node.attributes.integer("axis", 0));
      if (part.outer != view_.outer || part.inner != view_.inner) throw DataError("an output does not fit the input");
      length += part.length;
      if (type->dtype != node.inputs[0]->dtype) throw DataError("input and outputs must have one type");
    }
    if (length != view_.length) throw DataError("the outputs are not as long as the input");
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>& in) const override { return in[0]; }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext&) const override {
    const int64_t bytes = element_bytes(in[0].dtype()), pitch = view_.length * view_.inner;
    int64_t first = 0;
    for (const Tensor& y : out) {
      const int64_t run = y.elements() / view_.outer;
      for (int64_t o = 0; o < view_.outer && run > 0; ++o)
        std::memcpy(y.data + o * run * bytes, in[0].data + (o * pitch + first) * bytes,
                    static_cast<size_t>(run * bytes));
      first += run;
    }
  }

 private:
  AxisView view_;
};

}  // namespace bittrue
