// Requantize: y = stage(x - x_zero_point), parameters per tensor or per channel of `axis`.
#pragma once

#include "engine/stage_attributes.h"
#include "ops/shapes.h"

namespace bittrue {

class Requantize final : public Op {
 public:
  explicit Requantize(const NodeSpec& node)
      : x_zero_point_(with_inputs(node, 1).attributes.integer("x_zero_point", 0)),
        axis_(node.attributes.integer("axis", 1)) {
    require_same_shape(node);
    require(axis_ >= 0, "axis is negative");
    const Shape& shape = node.inputs[0]->shape;
    channels_ = axis_ < static_cast<int64_t>(shape.size()) ? shape[static_cast<size_t>(axis_)] : 1;
    for (size_t d = static_cast<size_t>(axis_) + 1; d < shape.size(); ++d) inner_ *= shape[d];
    stage_ = read_output_stage(node, channels_);
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.for_blocks(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i)
        store_int(out[0], i, stage_.apply(load_int(in[0], i) - x_zero_point_, i / inner_ % channels_, tally));
    });
  }

 private:
  int64_t x_zero_point_;
  int64_t axis_;
  int64_t channels_ = 1;
  int64_t inner_ = 1;
  OutputStage stage_;
};

}  // namespace bittrue
