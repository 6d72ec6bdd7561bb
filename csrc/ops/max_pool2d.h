// MaxPool2d: the maximum over the window, padding never wins; clamped like every output.
#pragma once

#include "engine/stage_attributes.h"
#include "ops/shapes.h"
#include "ops/window.h"

namespace bittrue {

class MaxPool2d final : public Op {
 public:
  explicit MaxPool2d(const NodeSpec& node)
      : window_(read_window(node, pool_kernel_of(node))), stage_(read_output_stage(node, 1)) {
    const Shape &x = node.inputs[0]->shape, &y = node.outputs[0]->shape;
    const auto last_start = [](int64_t out, int64_t stride, int64_t pad) { return (out - 1) * stride - pad; };
    may_see_padding_alone_ = window_.dilation_h > 1 || window_.dilation_w > 1 || window_.pad_top >= window_.kh ||
                             window_.pad_left >= window_.kw ||
                             last_start(y[2], window_.stride_h, window_.pad_top) >= x[2] ||
                             last_start(y[3], window_.stride_w, window_.pad_left) >= x[3];
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>& in) const override {
    if (may_see_padding_alone_ || stage_.requant.kind != Requant::none || stage_.zero_point != 0) return std::nullopt;
    return in[0];
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t H = in[0].dim(2), W = in[0].dim(3), OH = out[0].dim(2), OW = out[0].dim(3);
    const int64_t lowest = info(in[0].dtype()).min;
    context.for_blocks(out[0].dim(0) * out[0].dim(1), 1, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t plane = begin; plane < end; ++plane)
        for (int64_t oy = 0; oy < OH; ++oy)
          for (int64_t ox = 0; ox < OW; ++ox) {
            int64_t best = lowest;
            window_.for_taps(oy, ox, H, W, [&](int64_t, int64_t iy, int64_t ix) {
              const int64_t v = load_int(in[0], (plane * H + iy) * W + ix);
              if (v > best) best = v;
            });
            store_int(out[0], (plane * OH + oy) * OW + ox, stage_.apply(best, 0, tally));
          }
    });
  }

 private:
  Window window_;
  OutputStage stage_;
  bool may_see_padding_alone_;  // whose maximum is the lowest value of the type
};

}  // namespace bittrue
