// Add: y = stage(sum of signs[i] * p_i) of two or more inputs. With saturate_each the running sum is clamped to
// [intermediate_min, intermediate_max] after every addition but the last, which the stage clamps.
#pragma once

#include "ops/input_stage.h"

namespace bittrue {

class Add final : public Op {
 public:
  explicit Add(const NodeSpec& node)
      : inputs_(node),
        operands_(read_operands(node)),
        signs_(node.attributes.integers("signs", {1})),
        saturate_each_(node.attributes.integer("saturate_each", 0) != 0),
        intermediate_min_(node.attributes.integer("intermediate_min", INT64_MIN)),
        intermediate_max_(node.attributes.integer("intermediate_max", INT64_MAX)),
        stage_(read_output_stage(node, 1)) {
    if (signs_.size() != 1 && signs_.size() != node.inputs.size())
      throw DataError("signs needs one entry or one per input");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.for_blocks(out[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t sum = 0;
        for (size_t k = 0; k < in.size(); ++k) {
          sum +=
              Requantizer::at(signs_, static_cast<int64_t>(k)) * inputs_.apply(load_int(in[k], operands_[k].at(i)), k);
          if (saturate_each_ && k > 0 && k + 1 < in.size()) sum = clamp(sum, intermediate_min_, intermediate_max_);
        }
        store_int(out[0], i, stage_.apply(sum, 0, tally));
      }
    });
  }

 private:
  InputStages inputs_;
  std::vector<Operand> operands_;
  std::vector<int64_t> signs_;
  bool saturate_each_;
  int64_t intermediate_min_, intermediate_max_;
  OutputStage stage_;
};

}  // namespace bittrue
