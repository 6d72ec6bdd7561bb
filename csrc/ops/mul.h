// Mul: y = stage((a - a_zero_point) * (b - b_zero_point)).
#pragma once

#include "engine/stage_attributes.h"
#include "ops/operand.h"

namespace bittrue {

class Mul final : public Op {
 public:
  explicit Mul(const NodeSpec& node)
      : operands_(read_operands(node)),
        a_zero_point_(node.attributes.integer("a_zero_point", 0)),
        b_zero_point_(node.attributes.integer("b_zero_point", 0)),
        stage_(read_output_stage(node, 1)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.for_blocks(out[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t a = load_int(in[0], operands_[0].at(i)) - a_zero_point_;
        const int64_t b = load_int(in[1], operands_[1].at(i)) - b_zero_point_;
        store_int(out[0], i, stage_.apply(a * b, 0, tally));
      }
    });
  }

 private:
  std::vector<Operand> operands_;
  int64_t a_zero_point_, b_zero_point_;
  OutputStage stage_;
};

}  // namespace bittrue
