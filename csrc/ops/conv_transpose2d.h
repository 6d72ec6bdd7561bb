// ConvTranspose2d: the transposed convolution of ONNX: every input adds its weighted kernel to the output it touches.
// x (N,C,H,W), w (C,OC/group,KH,KW), bias (OC) optional.
#pragma once

#include "engine/stage_attributes.h"
#include "ops/shapes.h"
#include "ops/window.h"

namespace bittrue {

class ConvTranspose2d final : public Op {
 public:
  explicit ConvTranspose2d(const NodeSpec& node)
      : window_(read_window(node, kernel_of(node))),
        group_(node.attributes.integer("group", 1)),
        x_zero_point_(node.attributes.integer("x_zero_point", 0)),
        w_zero_point_(node.attributes.integers("w_zero_point", {0})),
        stage_(read_output_stage(node, node.outputs[0]->shape[1])) {
    node.attributes.integers("output_padding", {0, 0});  // in the shape of the output already
    const Shape &x = node.inputs[0]->shape, &w = node.inputs[1]->shape;
    const int64_t channels = node.outputs[0]->shape[1];
    require(group_ > 0 && w[0] == x[1] && x[1] % group_ == 0 && w[1] * group_ == channels,
            "channels, groups and weights disagree");
    require_per_channel(node, 2, channels);
    require_entries(w_zero_point_.size(), channels, "w_zero_point needs one entry or one per channel");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<int32_t> x = widen(in[0]);
    const std::vector<int32_t> w = widen(in[1]);
    const bool has_bias = in.size() > 2 && in[2].present();
    const int64_t C = in[0].dim(1), H = in[0].dim(2), W = in[0].dim(3);
    const int64_t OC = out[0].dim(1), OH = out[0].dim(2), OW = out[0].dim(3);
    const int64_t IC = C / group_, per_group = OC / group_;
    context.for_blocks(out[0].dim(0) * OC, 1, [&](int64_t begin, int64_t end, auto& tally) {
      std::vector<int64_t> sums(static_cast<size_t>(OH * OW));
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t n = plane / OC, oc = plane % OC, g = oc / per_group;
        const int64_t wz = Requantizer::at(w_zero_point_, oc);
        sums.assign(sums.size(), has_bias ? load_int(in[2], oc) : 0);
        for (int64_t ic = 0; ic < IC; ++ic)
          for (int64_t iy = 0; iy < H; ++iy)
            for (int64_t ix = 0; ix < W; ++ix) {
              const int64_t c = g * IC + ic;
              const int64_t xv = x[static_cast<size_t>(((n * C + c) * H + iy) * W + ix)] - x_zero_point_;
              // The output plays the input's part of an ordinary convolution window.
              window_.for_taps(iy, ix, OH, OW, [&](int64_t tap, int64_t oy, int64_t ox) {
                const size_t at = static_cast<size_t>((c * per_group + oc % per_group) * window_.taps() + tap);
                sums[static_cast<size_t>(oy * OW + ox)] += xv * (w[at] - wz);
              });
            }
        for (int64_t i = 0; i < OH * OW; ++i)
          store_int(out[0], plane * OH * OW + i, stage_.apply(sums[static_cast<size_t>(i)], oc, tally));
      }
    });
  }

 private:
  Window window_;
  int64_t group_;
  int64_t x_zero_point_;
  std::vector<int64_t> w_zero_point_;
  OutputStage stage_;
};

}  // namespace bittrue
