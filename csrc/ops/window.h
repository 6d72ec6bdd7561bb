// The sliding window of convolution and pooling.
#pragma once

#include <vector>

#include "engine/op.h"

namespace bittrue {

struct Window {
  int64_t kh = 1, kw = 1;
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  int64_t taps() const { return kh * kw; }

  // visit(tap, iy, ix) for every tap of the output position that lies inside the H x W input, in row-major order.
  template <class Visit>
  void for_taps(int64_t oy, int64_t ox, int64_t H, int64_t W, const Visit& visit) const {
    for (int64_t ky = 0; ky < kh; ++ky) {
      const int64_t iy = oy * stride_h - pad_top + ky * dilation_h;
      if (iy < 0 || iy >= H) continue;
      for (int64_t kx = 0; kx < kw; ++kx) {
        const int64_t ix = ox * stride_w - pad_left + kx * dilation_w;
        if (ix >= 0 && ix < W) visit(ky * kw + kx, iy, ix);
      }
    }
  }
};

// Attributes strides [2], pads [4] (top, left, bottom, right) and dilations [2], as in ONNX.
inline Window read_window(const NodeSpec& node, const std::vector<int64_t>& kernel) {
  const std::vector<int64_t> strides = node.attributes.integers("strides", {1, 1});
  const std::vector<int64_t> pads = node.attributes.integers("pads", {0, 0, 0, 0});
  const std::vector<int64_t> dilations = node.attributes.integers("dilations", {1, 1});
  if (kernel.size() != 2 || strides.size() != 2 || pads.size() != 4 || dilations.size() != 2)
    throw DataError("a window needs kernel[2], strides[2], pads[4] and dilations[2]");
  for (int64_t v : {kernel[0], kernel[1], strides[0], strides[1], dilations[0], dilations[1]})
    if (v < 1) throw DataError("kernel, strides and dilations must be positive");
  return {kernel[0], kernel[1], strides[0], strides[1], dilations[0], dilations[1], pads[0], pads[1], pads[2], pads[3]};
}

}  // namespace bittrue
