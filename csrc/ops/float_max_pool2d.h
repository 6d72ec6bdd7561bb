// FloatMaxPool2d: the running maximum m = m > x ? m : x over the window in row-major order, starting from minus
// infinity; padding takes no part.
#pragma once

#include <limits>

#include "ops/float_mode.h"
#include "ops/window.h"

namespace bittrue {

class FloatMaxPool2d final : public Op {
 public:
  explicit FloatMaxPool2d(const NodeSpec& node)
      : mode_(read_float_mode(node)), window_(read_window(node, node.attributes.integers("kernel"))), relu_(node) {
    require_rank(node, 0, 4);
    const Shape &x = node.inputs[0]->shape, &y = node.outputs[0]->shape;
    if (y.size() != 4 || y[0] != x[0] || y[1] != x[1]) throw DataError("the output does not fit the input");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> x = read_floats(in[0], mode_);
    const int64_t H = in[0].dim(2), W = in[0].dim(3), OH = out[0].dim(2), OW = out[0].dim(3);
    guarded_blocks(context, out[0].dim(0) * out[0].dim(1), 1, mode_.flush, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane)
        for (int64_t oy = 0; oy < OH; ++oy)
          for (int64_t ox = 0; ox < OW; ++ox) {
            float m = -std::numeric_limits<float>::infinity();
            window_.for_taps(oy, ox, H, W, [&](int64_t, int64_t iy, int64_t ix) {
              m = max_of(m, x[static_cast<size_t>((plane * H + iy) * W + ix)]);
            });
            out[0].as<float>()[(plane * OH + oy) * OW + ox] = mode_.stored(relu_.apply(m));
          }
    });
  }

 private:
  FloatMode mode_;
  Window window_;
  FloatRelu relu_;
};

}  // namespace bittrue
