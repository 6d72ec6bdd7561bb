// FloatConvTranspose2d: the convolution of the zero-inserted input with the flipped kernel, in binary32.
// x (N,C,H,W), w (C,OC/group,KH,KW), bias (OC) optional. Inserted zeros and padding take part as 0 * w.
#pragma once

#include "ops/float_convolution.h"

namespace bittrue {

class FloatConvTranspose2d final : public Op {
 public:
  explicit FloatConvTranspose2d(const NodeSpec& node) : convolution_(node) {
    require_rank(node, 0, 4);
    require_rank(node, 1, 4);
    const Shape &w = node.inputs[1]->shape, &y = node.outputs[0]->shape;
    if (w[0] != node.inputs[0]->shape[1] || w[0] % convolution_.group != 0)
      throw DataError("the channels do not fit the weights");
    if (y.size() != 4 || y[0] != node.inputs[0]->shape[0] || y[1] != w[1] * convolution_.group)
      throw DataError("the output does not fit the weights");
    require_entries(node, 2, y[1]);
    Window window = read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]});
    node.attributes.integers("output_padding", {0, 0});  // the shape of the output has it already
    convolution_.insert_h = window.stride_h;
    convolution_.insert_w = window.stride_w;
    window.stride_h = window.stride_w = 1;
    window.pad_top = window.dilation_h * (window.kh - 1) - window.pad_top;
    window.pad_left = window.dilation_w * (window.kw - 1) - window.pad_left;
    convolution_.window = window;
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> given = read_floats(in[1], convolution_.mode);
    const bool has_bias = in.size() > 2 && in[2].present();
    const std::vector<float> bias = has_bias ? read_floats(in[2], convolution_.mode) : std::vector<float>();
    const int64_t IC = in[1].dim(0) / convolution_.group, per_group = in[1].dim(1), taps = convolution_.window.taps();
    std::vector<float> w(given.size());
    for (int64_t c = 0; c < in[1].dim(0); ++c)
      for (int64_t o = 0; o < per_group; ++o)
        for (int64_t tap = 0; tap < taps; ++tap)
          w[static_cast<size_t>(((c / IC * per_group + o) * IC + c % IC) * taps + tap)] =
              given[static_cast<size_t>((c * per_group + o) * taps + taps - 1 - tap)];
    convolution_.run(in[0], w, has_bias ? bias.data() : nullptr, out[0], context);
  }

 private:
  FloatConvolution convolution_;
};

}  // namespace bittrue
