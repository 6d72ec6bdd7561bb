// Where: cond ? a : b, with numpy broadcasting.
#pragma once

#include <cstring>
#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Where final : public Op {
 public:
  explicit Where(const NodeSpec& node) {
    for (size_t i = 0; i < 3; ++i) {
      if (!node.has_input(i)) throw DataError("three inputs are needed");
      strides_.push_back(broadcast_strides(node.inputs[i]->shape, node.outputs[0]->shape));
    }
    if (node.inputs[0]->dtype != DType::boolean) throw DataError("the condition must be bool");
    for (size_t i = 1; i < 3; ++i)
      if (node.inputs[i]->dtype != node.outputs[0]->dtype)
        throw DataError("both values and the output must have one type");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t bytes = element_bytes(out[0].dtype());
    const Shape& shape = out[0].shape();
    context.pool.parallel_for(out[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const size_t from = in[0].data[strided_offset(i, shape, strides_[0])] ? 1 : 2;
        std::memcpy(out[0].data + i * bytes, in[from].data + strided_offset(i, shape, strides_[from]) * bytes,
                    static_cast<size_t>(bytes));
      }
    });
  }

 private:
  std::vector<std::vector<int64_t>> strides_;
};

}  // namespace bittrue
