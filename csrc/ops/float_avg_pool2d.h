// FloatAvgPool2d in binary32; f = fl(1/n), n = window size, or the taps inside the input if count_include_pad = 0.
// Order plain: fl(sum * f). alternate: every tap times f first, two accumulators alternating over the taps in row-major
// order, then added (BM1684). Padding taps take part as zeros.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/float_mode.h"
#include "ops/padded_planes.h"

namespace bittrue {

class FloatAvgPool2d final : public Op {
 public:
  explicit FloatAvgPool2d(const NodeSpec& node)
      : mode_(read_float_mode(node)),
        window_(read_window(node, node.attributes.integers("kernel"))),
        count_include_pad_(node.attributes.integer("count_include_pad", 1) != 0),
        alternate_(node.attributes.choice<int>("order", {"plain", "alternate"}, "plain") == 1),
        relu_(node) {
    require_rank(node, 0, 4);
    const Shape &x = node.inputs[0]->shape, &y = node.outputs[0]->shape;
    if (y.size() != 4 || y[0] != x[0] || y[1] != x[1]) throw DataError("the output does not fit the input");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> x = read_floats(in[0], mode_);
    const int64_t H = in[0].dim(2), W = in[0].dim(3), OH = out[0].dim(2), OW = out[0].dim(3);
    std::vector<float> factor(static_cast<size_t>(OH * OW));
    for (int64_t i = 0; i < OH * OW; ++i) {
      int64_t n = count_include_pad_ ? window_.taps() : 0;
      if (!count_include_pad_) window_.for_taps(i / OW, i % OW, H, W, [&](int64_t, int64_t, int64_t) { ++n; });
      factor[static_cast<size_t>(i)] = 1.0f / static_cast<float>(std::max<int64_t>(n, 1));
    }
    const PaddedPlanes planes(window_, OH, OW, 1, 1, 0.0f);
    guarded_blocks(context, out[0].dim(0) * out[0].dim(1), 1, mode_.flush, [&](int64_t begin, int64_t end) {
      std::vector<float> padded(static_cast<size_t>(planes.plane_size()));
      std::vector<float> sums[2] = {std::vector<float>(static_cast<size_t>(OW)),
                                    std::vector<float>(static_cast<size_t>(OW))};
      for (int64_t plane = begin; plane < end; ++plane) {
        planes.fill(x.data() + plane * H * W, H, W, padded.data());
        for (int64_t oy = 0; oy < OH; ++oy) {
          const float* f = factor.data() + oy * OW;
          for (auto& s : sums) std::fill(s.begin(), s.end(), 0.0f);
          for (int64_t tap = 0; tap < window_.taps(); ++tap) {
            const float* row = padded.data() + planes.row(oy, tap / window_.kw, tap % window_.kw);
            float* sum = sums[alternate_ ? tap & 1 : 0].data();
            for (int64_t ox = 0; ox < OW; ++ox) sum[ox] = add(sum[ox], alternate_ ? mul(row[ox], f[ox]) : row[ox]);
          }
          float* y = out[0].as<float>() + (plane * OH + oy) * OW;
          for (int64_t ox = 0; ox < OW; ++ox) {
            const auto i = static_cast<size_t>(ox);
            y[ox] = mode_.stored(relu_.apply(alternate_ ? add(sums[0][i], sums[1][i]) : mul(sums[0][i], f[ox])));
          }
        }
      }
    });
  }

 private:
  FloatMode mode_;
  Window window_;
  bool count_include_pad_;
  bool alternate_;
  FloatRelu relu_;
};

}  // namespace bittrue
