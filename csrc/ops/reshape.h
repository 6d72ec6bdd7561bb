// Reshape: the same elements in the same order; also squeeze, unsqueeze, flatten, identity.
#pragma once

#include <cstring>
#include <vector>

#include "engine/op.h"

namespace bittrue {

class Reshape final : public Op {
 public:
  explicit Reshape(const NodeSpec& node) {
    if (node.inputs[0]->elements() != node.outputs[0]->elements() || node.inputs[0]->dtype != node.outputs[0]->dtype)
      throw DataError("input and output must have the same elements");
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>& in) const override { return in[0]; }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext&) const override {
    const int64_t bytes = in[0].type->bytes();
    if (bytes > 0) std::memcpy(out[0].data, in[0].data, static_cast<size_t>(bytes));
  }
};

}  // namespace bittrue
