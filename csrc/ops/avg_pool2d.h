// AvgPool2d: the exact sum of (x - x_zero_point) over the window, then the output stage. With requant `divide` the
// divisor is the window size, or the number of taps inside the input when count_include_pad is 0.
#pragma once

#include "engine/stage_attributes.h"
#include "ops/shapes.h"
#include "ops/window.h"

namespace bittrue {

class AvgPool2d final : public Op {
 public:
  explicit AvgPool2d(const NodeSpec& node)
      : window_(read_window(node, pool_kernel_of(node))),
        x_zero_point_(node.attributes.integer("x_zero_point", 0)),
        count_include_pad_(node.attributes.integer("count_include_pad", 1) != 0),
        stage_(read_output_stage(node, 1)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t H = in[0].dim(2), W = in[0].dim(3), OH = out[0].dim(2), OW = out[0].dim(3);
    context.for_blocks(out[0].dim(0) * out[0].dim(1), 1, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t plane = begin; plane < end; ++plane)
        for (int64_t oy = 0; oy < OH; ++oy)
          for (int64_t ox = 0; ox < OW; ++ox) {
            int64_t sum = 0, valid = 0;
            window_.for_taps(oy, ox, H, W, [&](int64_t, int64_t iy, int64_t ix) {
              sum += load_int(in[0], (plane * H + iy) * W + ix) - x_zero_point_;
              ++valid;
            });
            const int64_t divisor = count_include_pad_ || !valid ? window_.taps() : valid;
            store_int(out[0], (plane * OH + oy) * OW + ox, stage_.apply(sum, 0, tally, divisor));
          }
    });
  }

 private:
  Window window_;
  int64_t x_zero_point_;
  bool count_include_pad_;
  OutputStage stage_;
};

}  // namespace bittrue
