// Reduce: sum, mean, max or min of (x - x_zero_point) over `axes`, then the output stage. `mean` divides only through
// the stage: by requant `divide`, or by a multiplier that includes 1/count.
#pragma once

#include <algorithm>

#include "engine/stage_attributes.h"
#include "ops/axes.h"
#include "ops/shapes.h"

namespace bittrue {

class Reduce final : public Op {
 public:
  explicit Reduce(const NodeSpec& node)
      : kind_(with_inputs(node, 1).attributes.choice<Kind>("kind", {"sum", "mean", "max", "min"}, "sum")),
        x_zero_point_(node.attributes.integer("x_zero_point", 0)),
        offsets_(reduction_offsets(node.inputs[0]->shape, node.attributes.integers("axes"))),
        stage_(read_output_stage(node, 1)) {
    node.attributes.integer("keepdims", 1);  // in the shape of the output already
    require(node.outputs[0]->elements() == static_cast<int64_t>(offsets_.kept.size()), "the output has another size");
    require(!offsets_.reduced.empty(), "nothing to reduce");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const auto divisor = static_cast<int64_t>(offsets_.reduced.size());
    context.for_blocks(out[0].elements(), 64, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t v = kind_ == Kind::max ? INT64_MIN : kind_ == Kind::min ? INT64_MAX : 0;
        for (int64_t offset : offsets_.reduced) {
          const int64_t x = load_int(in[0], offsets_.kept[static_cast<size_t>(i)] + offset) - x_zero_point_;
          v = kind_ == Kind::max ? std::max(v, x) : kind_ == Kind::min ? std::min(v, x) : v + x;
        }
        store_int(out[0], i, stage_.apply(v, 0, tally, std::max<int64_t>(1, divisor)));
      }
    });
  }

 private:
  enum class Kind { sum, mean, max, min };
  Kind kind_;
  int64_t x_zero_point_;
  ReductionOffsets offsets_;
  OutputStage stage_;
};

}  // namespace bittrue
