// FloatConv2d: convolution in binary32, summed in the order of a device.
// x (N,C,H,W), w (OC,C/group,KH,KW), bias (OC) optional, added last. Padding taps take part as 0 * w.
#pragma once

#include "ops/float_convolution.h"

namespace bittrue {

class FloatConv2d final : public Op {
 public:
  explicit FloatConv2d(const NodeSpec& node) : convolution_(node) {
    require_rank(node, 0, 4);
    require_rank(node, 1, 4);
    const Shape &w = node.inputs[1]->shape, &y = node.outputs[0]->shape;
    if (w[1] * convolution_.group != node.inputs[0]->shape[1] || w[0] % convolution_.group != 0)
      throw DataError("the channels do not fit the weights");
    if (y.size() != 4 || y[0] != node.inputs[0]->shape[0] || y[1] != w[0])
      throw DataError("the output does not fit the weights");
    require_entries(node, 2, w[0]);
    convolution_.window = read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]});
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> w = read_floats(in[1], convolution_.mode);
    const bool has_bias = in.size() > 2 && in[2].present();
    const std::vector<float> bias = has_bias ? read_floats(in[2], convolution_.mode) : std::vector<float>();
    convolution_.run(in[0], w, has_bias ? bias.data() : nullptr, out[0], context);
  }

 private:
  FloatConvolution convolution_;
};

}  // namespace bittrue
