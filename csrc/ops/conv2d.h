// Conv2d: y[n,oc,oy,ox] = stage(bias[oc] + sum (x - x_zero_point) * (w - w_zero_point[oc])).
// x (N,C,H,W), w (OC,C/group,KH,KW), bias (OC) optional. Padding counts as x_zero_point, so it adds nothing.
// Depthwise convolution is group = C.
#pragma once

#include "engine/stage_attributes.h"
#include "ops/shapes.h"
#include "ops/window.h"

namespace bittrue {

class Conv2d final : public Op {
 public:
  explicit Conv2d(const NodeSpec& node)
      : window_(read_window(node, kernel_of(node))),
        group_(node.attributes.integer("group", 1)),
        x_zero_point_(node.attributes.integer("x_zero_point", 0)),
        w_zero_point_(node.attributes.integers("w_zero_point", {0})),
        stage_(read_output_stage(node, node.inputs[1]->shape[0])) {
    const Shape &x = node.inputs[0]->shape, &w = node.inputs[1]->shape;
    require(group_ > 0 && w[0] % group_ == 0 && w[1] * group_ == x[1], "channels, groups and weights disagree");
    require(node.outputs[0]->shape[1] == w[0], "output channels differ from the weights");
    require_per_channel(node, 2, w[0]);
    require_entries(w_zero_point_.size(), w[0], "w_zero_point needs one entry or one per channel");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<int32_t> x = widen(in[0]);
    const std::vector<int32_t> w = widen(in[1]);
    const bool has_bias = in.size() > 2 && in[2].present();
    const int64_t C = in[0].dim(1), H = in[0].dim(2), W = in[0].dim(3);
    const int64_t OC = out[0].dim(1), OH = out[0].dim(2), OW = out[0].dim(3);
    const int64_t IC = C / group_;
    context.for_blocks(out[0].dim(0) * OC, 1, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t n = plane / OC, oc = plane % OC, first_channel = oc / (OC / group_) * IC;
        const int64_t wz = Requantizer::at(w_zero_point_, oc);
        const int64_t bias = has_bias ? load_int(in[2], oc) : 0;
        for (int64_t oy = 0; oy < OH; ++oy)
          for (int64_t ox = 0; ox < OW; ++ox) {
            int64_t sum = bias;
            for (int64_t ic = 0; ic < IC; ++ic)
              window_.for_taps(oy, ox, H, W, [&](int64_t tap, int64_t iy, int64_t ix) {
                const int64_t xv = x[static_cast<size_t>(((n * C + first_channel + ic) * H + iy) * W + ix)];
                const int64_t wv = w[static_cast<size_t>((oc * IC + ic) * window_.taps() + tap)];
                sum += (xv - x_zero_point_) * (wv - wz);
              });
            store_int(out[0], (plane * OH + oy) * OW + ox, stage_.apply(sum, oc, tally));
          }
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
