// Clip: y = clamp(x, clamp_min, clamp_max), integers of one type. The integer ReLU of every target.
#pragma once

#include "engine/stage_attributes.h"
#include "ops/shapes.h"

namespace bittrue {

class Clip final : public Op {
 public:
  explicit Clip(const NodeSpec& node) : stage_(read_output_stage(with_inputs(node, 1), 1)) { require_same_shape(node); }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.for_blocks(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i) store_int(out[0], i, stage_.apply(load_int(in[0], i), 0, tally));
    });
  }

 private:
  OutputStage stage_;
};

}  // namespace bittrue
