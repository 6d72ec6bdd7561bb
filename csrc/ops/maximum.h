// Maximum: y = stage(largest of the p_i) of two or more inputs.
#pragma once

#include "ops/input_stage.h"

namespace bittrue {

class Maximum final : public Op {
 public:
  explicit Maximum(const NodeSpec& node)
      : inputs_(node), operands_(read_operands(node)), stage_(read_output_stage(node, 1)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.for_blocks(out[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t best = inputs_.apply(load_int(in[0], operands_[0].at(i)), 0);
        for (size_t k = 1; k < in.size(); ++k) {
          const int64_t p = inputs_.apply(load_int(in[k], operands_[k].at(i)), k);
          if (p > best) best = p;
        }
        store_int(out[0], i, stage_.apply(best, 0, tally));
      }
    });
  }

 private:
  InputStages inputs_;
  std::vector<Operand> operands_;
  OutputStage stage_;
};

}  // namespace bittrue
