// ChannelScale: t = clamp(x * scale[c] + bias[c], intermediate range); shift > 0: R(t, shift, rounding);
// shift < 0: t << -shift wrapped to wrap_bits (signed, or unsigned with wrap_unsigned); then clamp. x (N,C,..), scale
// and bias (C).
#pragma once

#include "engine/stage_attributes.h"
#include "ops/shapes.h"

namespace bittrue {

class ChannelScale final : public Op {
 public:
  explicit ChannelScale(const NodeSpec& node)
      : intermediate_min_(with_inputs(node, 3).attributes.integer("intermediate_min", INT32_MIN)),
        intermediate_max_(node.attributes.integer("intermediate_max", INT32_MAX)),
        shift_(node.attributes.integers("shift", {0})),
        rounding_(read_rounding(node.attributes, "rounding", "floor")),
        wrap_bits_(static_cast<int>(node.attributes.integer("wrap_bits", 16))),
        wrap_unsigned_(node.attributes.integer("wrap_unsigned", 0) != 0),
        clamp_min_(node.attributes.integer("clamp_min", info(node.outputs[0]->dtype).min)),
        clamp_max_(node.attributes.integer("clamp_max", info(node.outputs[0]->dtype).max)) {
    require_same_shape(node);
    require(node.inputs[0]->shape.size() > 1, "a channel axis is needed");
    const int64_t channels = node.inputs[0]->shape[1];
    require_per_channel(node, 1, channels);
    require_per_channel(node, 2, channels);
    require(wrap_bits_ >= 1 && wrap_bits_ <= 32, "wrap_bits is outside 1..32");
    require(clamp_min_ >= info(node.outputs[0]->dtype).min && clamp_max_ <= info(node.outputs[0]->dtype).max,
            "clamp range outside the output type");
    if (shift_.size() != 1 && static_cast<int64_t>(shift_.size()) != channels)
      throw DataError("shift needs one entry or one per channel");
    for (int64_t s : shift_)
      if (s < -31 || s > 62) throw DataError("shift is outside -31..62");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const Shape& shape = in[0].shape();
    const int64_t channels = shape[1], inner = count(Shape(shape.begin() + 2, shape.end()));
    context.for_blocks(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = i / inner % channels;
        const int64_t exact = load_int(in[0], i) * load_int(in[1], c) + load_int(in[2], c);
        tally.sum(exact);
        const int64_t t = clamp(exact, intermediate_min_, intermediate_max_);
        const int64_t s = Requantizer::at(shift_, c);
        const int64_t v = s >= 0 ? shift_right(t, static_cast<int>(s), rounding_) : wrapped(t * (int64_t(1) << -s));
        tally.value(v, clamp_min_, clamp_max_);
        store_int(out[0], i, clamp(v, clamp_min_, clamp_max_));
      }
    });
  }

 private:
  int64_t wrapped(int64_t v) const {
    return wrap_unsigned_ ? v & ((int64_t(1) << wrap_bits_) - 1) : wrap(v, wrap_bits_);
  }

  int64_t intermediate_min_, intermediate_max_;
  std::vector<int64_t> shift_;
  Rounding rounding_;
  int wrap_bits_;
  bool wrap_unsigned_;
  int64_t clamp_min_, clamp_max_;
};

}  // namespace bittrue
