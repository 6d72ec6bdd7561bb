// Dequantize: integers to float32, fl(fl(x - zero_point) * scale).
#pragma once

#include <vector>

#include "arith/float_format.h"
#include "arith/output_stage.h"
#include "ops/broadcast.h"
#include "ops/float_mode.h"

namespace bittrue {

class Dequantize final : public Op {
 public:
  explicit Dequantize(const NodeSpec& node)
      : zero_point_(node.attributes.integer_list("zero_point", {0})), flush_(node.attributes.integer("flush", 0) != 0) {
    if (node.inputs[0]->dtype == DType::float32) throw DataError("the input must be an integer tensor");
    if (node.outputs[0]->dtype != DType::float32) throw DataError("the output must be float32");
    if (node.inputs[0]->shape != node.outputs[0]->shape) throw DataError("input and output must have one shape");
    for (double s : node.attributes.reals("scale", {1.0})) scale_.push_back(static_cast<float>(s));
    const int64_t axis = node.attributes.integer("axis", 1);
    for (size_t entries : {scale_.size(), zero_point_.size()}) {
      if (entries == 1) continue;
      const AxisView view(node.inputs[0]->shape, axis);
      if (static_cast<int64_t>(entries) != view.length)
        throw DataError("scale or zero point: one entry or one per channel");
      channels_ = view.length;
      inner_ = view.inner;
    }
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    guarded_blocks(context, in[0].elements(), elementwise_grain, flush_, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t channel = i / inner_ % channels_;
        const auto v = static_cast<float>(load_int(in[0], i) - Requantizer::at(zero_point_, channel));
        out[0].as<float>()[i] = mul(v, Requantizer::at(scale_, channel));
      }
    });
  }

 private:
  std::vector<int64_t> zero_point_;
  bool flush_;
  std::vector<float> scale_;
  int64_t channels_ = 1, inner_ = 1;
};

}  // namespace bittrue
