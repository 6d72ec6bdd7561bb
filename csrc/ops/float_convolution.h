// Shared by FloatConv2d and FloatConvTranspose2d: the sums, in the order the device makes them. A row of outputs is
// computed at once: each output has its own accumulators, so the order of the steps is that of a single output.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "ops/float_mode.h"
#include "ops/padded_planes.h"

namespace bittrue {

enum class FloatOrder : uint8_t { plain, pairs, alternate };

struct FloatConvolution {
  FloatMode mode;
  FloatOrder order = FloatOrder::plain;
  FloatRelu relu;
  Window window;  // of the convolution over the planes
  int64_t insert_h = 1, insert_w = 1;
  int64_t group = 1;

  explicit FloatConvolution(const NodeSpec& node)
      : mode(read_float_mode(node)),
        order(node.attributes.choice<FloatOrder>("order", {"plain", "pairs", "alternate"}, "plain")),
        relu(node, true),
        group(node.attributes.integer("group", 1)) {
    if (group < 1) throw DataError("group must be positive");
  }

  // weight: [OC][IC per group][KH][KW] in the order of the window's taps; bias: [OC] or nullptr.
  void run(const ConstTensor& x, const std::vector<float>& weight, const float* bias, const Tensor& y,
           RunContext& context) const {
    Shape in = x.shape(), out = y.shape();
    if (window.taps() == 1 && window.stride_h == 1 && window.stride_w == 1 && insert_h == 1 && insert_w == 1 &&
        in[2] == out[2] && in[3] == out[3] && window.pad_top == 0 && window.pad_left == 0) {
      in = {in[0], in[1], 1, in[2] * in[3]};  // a pointwise layer is one long row
      out = {out[0], out[1], 1, out[2] * out[3]};
    }
    const int64_t C = in[1], H = in[2], W = in[3], OC = out[1], OH = out[2], OW = out[3];
    const int64_t IC = C / group, group_outputs = OC / group;
    const PaddedPlanes planes(window, OH, OW, insert_h, insert_w, 0.0f);
    const int64_t plane_size = planes.plane_size();
    std::vector<float> padded(static_cast<size_t>(in[0] * C * plane_size));
    const std::vector<float> values = read_floats(x, mode);
    context.pool.parallel_for(in[0] * C, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c)
        planes.fill(values.data() + c * H * W, H, W, padded.data() + c * plane_size);
    });
    const std::vector<float> zeros(static_cast<size_t>(plane_size));
    guarded_blocks(context, out[0] * OC * OH, 1, mode.flush, [&](int64_t begin, int64_t end) {
      std::array<std::vector<float>, 4> sums;
      for (auto& s : sums) s.resize(static_cast<size_t>(OW));
      for (int64_t line = begin; line < end; ++line) {
        const int64_t oy = line % OH, oc = line / OH % OC, n = line / OH / OC;
        const float* first = padded.data() + (n * C + oc / group_outputs * IC) * plane_size;
        const float* w = weight.data() + oc * IC * window.taps();
        for (auto& s : sums) std::fill(s.begin(), s.end(), 0.0f);
        float* result = y.as<float>() + line * OW;
        if (order == FloatOrder::pairs) {
          sum_pairs(planes, first, zeros.data(), w, IC, oy, OW, sums);
          for (size_t ox = 0; ox < static_cast<size_t>(OW); ++ox)
            result[ox] = add(add(sums[0][ox], sums[1][ox]), add(sums[2][ox], sums[3][ox]));
        } else {
          sum_in_order(planes, first, w, IC, oy, OW, sums);
          for (size_t ox = 0; ox < static_cast<size_t>(OW); ++ox)
            result[ox] = order == FloatOrder::alternate ? add(sums[0][ox], sums[1][ox]) : sums[0][ox];
        }
        if (bias)
          for (int64_t ox = 0; ox < OW; ++ox) result[ox] = add(result[ox], bias[oc]);
        for (int64_t ox = 0; ox < OW; ++ox) result[ox] = mode.stored(relu.apply(result[ox]));
      }
    });
  }

 private:
  static void accumulate_row(float* sum, const float* x, float w, int64_t n) {
    for (int64_t i = 0; i < n; ++i) sum[i] = add(sum[i], mul(x[i], w));
  }

  // Even and odd channels in lanes of their own (sums 0, 1 and 2, 3); steps kh, kw, channel pair alternate.
  void sum_pairs(const PaddedPlanes& planes, const float* first, const float* zeros, const float* w, int64_t IC,
                 int64_t oy, int64_t OW, std::array<std::vector<float>, 4>& sums) const {
    const int64_t plane_size = planes.plane_size();
    size_t step = 0;
    for (int64_t ky = 0; ky < window.kh; ++ky)
      for (int64_t kx = 0; kx < window.kw; ++kx) {
        const int64_t tap = ky * window.kw + kx, start = planes.row(oy, ky, kx);
        for (int64_t ic = 0; ic < IC; ic += 2, ++step) {
          accumulate_row(sums[step & 1].data(), first + ic * plane_size + start, w[ic * window.taps() + tap], OW);
          if (ic + 1 < IC)
            accumulate_row(sums[2 + (step & 1)].data(), first + (ic + 1) * plane_size + start,
                           w[(ic + 1) * window.taps() + tap], OW);
          else
            accumulate_row(sums[2 + (step & 1)].data(), zeros + start, 0.0f, OW);
        }
      }
  }

  // Steps ic, kh, kw into one accumulator, or alternating into two.
  void sum_in_order(const PaddedPlanes& planes, const float* first, const float* w, int64_t IC, int64_t oy, int64_t OW,
                    std::array<std::vector<float>, 4>& sums) const {
    size_t step = 0;
    for (int64_t ic = 0; ic < IC; ++ic)
      for (int64_t ky = 0; ky < window.kh; ++ky)
        for (int64_t kx = 0; kx < window.kw; ++kx, ++step)
          accumulate_row(sums[order == FloatOrder::alternate ? step & 1 : 0].data(),
                         first + ic * planes.plane_size() + planes.row(oy, ky, kx), w[step], OW);
  }
};

}  // namespace bittrue
