// Quantize: float32 to integers. v = fl(x * scale) or fl(x / scale), rounded, plus zero point, clamped; NaN gives the
// lower limit.
#pragma once

#include <vector>

#include "arith/float_format.h"
#include "engine/stage_attributes.h"
#include "ops/broadcast.h"
#include "ops/float_mode.h"

namespace bittrue {

class Quantize final : public Op {
 public:
  explicit Quantize(const NodeSpec& node)
      : divide_(node.attributes.choice<int>("scale_op", {"multiply", "divide"}, "multiply") == 1),
        rounding_(read_rounding(node.attributes, "rounding", "half_even")),
        zero_point_(node.attributes.integer_list("zero_point", {0})),
        flush_(node.attributes.integer("flush", 0) != 0) {
    const DTypeInfo& type = info(node.outputs[0]->dtype);
    clamp_min_ = node.attributes.integer("clamp_min", type.min);
    clamp_max_ = node.attributes.integer("clamp_max", type.max);
    if (clamp_min_ < type.min || clamp_max_ > type.max || clamp_min_ > clamp_max_)
      throw DataError(std::string("the clamp range does not fit ") + type.name);
    if (node.inputs[0]->dtype != DType::float32) throw DataError("the input must be float32");
    if (node.inputs[0]->shape != node.outputs[0]->shape) throw DataError("input and output must have one shape");
    for (double s : node.attributes.reals("scale", {1.0})) scale_.push_back(static_cast<float>(s));
    const Shape& shape = node.inputs[0]->shape;
    const int64_t axis = node.attributes.integer("axis", 1);
    for (size_t entries : {scale_.size(), zero_point_.size()}) {
      if (entries == 1) continue;
      const AxisView view(shape, axis);
      if (static_cast<int64_t>(entries) != view.length)
        throw DataError("scale or zero point: one entry or one per channel");
      channels_ = view.length;
      inner_ = view.inner;
    }
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.for_blocks(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
      const FlushGuard guard(flush_);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t channel = i / inner_ % channels_;
        const float x = in[0].as<float>()[i], s = Requantizer::at(scale_, channel);
        const float v = divide_ ? divide_real(x, s) : mul(x, s);
        const int64_t q = round_real(v, rounding_) + Requantizer::at(zero_point_, channel);
        tally.value(q, clamp_min_, clamp_max_);
        store_int(out[0], i, clamp(q, clamp_min_, clamp_max_));
      }
    });
  }

 private:
  bool divide_;
  Rounding rounding_;
  std::vector<int64_t> zero_point_;
  bool flush_;
  std::vector<float> scale_;
  int64_t clamp_min_ = 0, clamp_max_ = 0;
  int64_t channels_ = 1, inner_ = 1;
};

}  // namespace bittrue
