// Prelu: v = x - x_zero_point; v > 0 gives stage(v), else v * slope[c] goes through the negative requantizer
// (attributes negative_*), then zero point and clamp of the stage.
#pragma once

#include "engine/stage_attributes.h"
#include "ops/shapes.h"

namespace bittrue {

class Prelu final : public Op {
 public:
  explicit Prelu(const NodeSpec& node)
      : x_zero_point_(with_inputs(node, 2).attributes.integer("x_zero_point", 0)),
        positive_(read_output_stage(node, 1)),
        negative_(positive_),
        shared_(node.inputs[1]->elements() == 1) {
    require_same_shape(node);
    const int64_t channels = node.inputs[0]->shape.size() > 1 ? node.inputs[0]->shape[1] : 1;
    if (!shared_ && node.inputs[1]->elements() != channels) throw DataError("slope needs one value or one per channel");
    negative_.requant = read_requantizer(node.attributes, channels, "negative_");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const Shape& shape = in[0].shape();
    const int64_t channels = shape.size() > 1 ? shape[1] : 1;
    const int64_t inner = shape.size() > 1 ? count(Shape(shape.begin() + 2, shape.end())) : 1;
    context.for_blocks(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = i / inner % channels;
        const int64_t v = load_int(in[0], i) - x_zero_point_;
        const int64_t y =
            v > 0 ? positive_.apply(v, 0, tally) : negative_.apply(v * load_int(in[1], shared_ ? 0 : c), c, tally);
        store_int(out[0], i, y);
      }
    });
  }

 private:
  int64_t x_zero_point_;
  OutputStage positive_;
  OutputStage negative_;
  bool shared_;
};

}  // namespace bittrue
