// Depthwise convolution: for every tap, a whole row of outputs takes one product.
#include <algorithm>

#include "engine/stage_attributes.h"
#include "kernels/largest_difference.h"
#include "ops/window.h"

namespace bittrue {

namespace {

class DepthwiseI8 final : public Op {
 public:
  explicit DepthwiseI8(const NodeSpec& node)
      : window_(read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]})),
        multiplicity_(node.inputs[1]->shape[0] / node.inputs[0]->shape[1]),
        x_zero_point_(node.attributes.integer("x_zero_point", 0)),
        stage_(read_output_stage(node, node.inputs[1]->shape[0])) {
    const ConstTensor w = node.constant(1);
    const std::vector<int64_t> zero_point = node.attributes.integers("w_zero_point", {0});
    for (int64_t i = 0; i < w.elements(); ++i)
      weights_.push_back(static_cast<int32_t>(load_int(w, i) - Requantizer::at(zero_point, i / window_.taps())));
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    switch (in[0].dtype()) {
      case DType::int8:
        return run_typed<int8_t>(in, out, context);
      case DType::uint8:
        return run_typed<uint8_t>(in, out, context);
      default:
        throw DataError("depthwise_i8 needs 8-bit input");
    }
  }

 private:
  template <class X>
  void run_typed(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const {
    const int64_t C = in[0].dim(1), H = in[0].dim(2), W = in[0].dim(3);
    const int64_t OC = out[0].dim(1), OH = out[0].dim(2), OW = out[0].dim(3);
    const bool has_bias = in.size() > 2 && in[2].present();
    context.for_blocks(out[0].dim(0) * OC, 1, [&](int64_t begin, int64_t end, auto& tally) {
      std::vector<int32_t> sums(static_cast<size_t>(OW));
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t n = plane / OC, oc = plane % OC;
        const X* x = in[0].as<X>() + (n * C + oc / multiplicity_) * H * W;
        const int64_t bias = has_bias ? load_int(in[2], oc) : 0;
        for (int64_t oy = 0; oy < OH; ++oy) {
          std::fill(sums.begin(), sums.end(), 0);
          for (int64_t ky = 0; ky < window_.kh; ++ky) {
            const int64_t iy = oy * window_.stride_h - window_.pad_top + ky * window_.dilation_h;
            if (iy < 0 || iy >= H) continue;
            for (int64_t kx = 0; kx < window_.kw; ++kx)
              add_tap(x + iy * W, W, kx, weights_[static_cast<size_t>(oc * window_.taps() + ky * window_.kw + kx)], OW,
                      sums.data());
          }
          for (int64_t ox = 0; ox < OW; ++ox)
            store_int(out[0], (plane * OH + oy) * OW + ox,
                      stage_.apply(sums[static_cast<size_t>(ox)] + bias, oc, tally));
        }
      }
    });
  }

  template <class X>
  void add_tap(const X* row, int64_t W, int64_t kx, int32_t weight, int64_t OW, int32_t* sums) const {
    const int64_t offset = kx * window_.dilation_w - window_.pad_left, stride = window_.stride_w;
    const int64_t begin = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    const int64_t end = W - 1 < offset ? 0 : std::min(OW, (W - 1 - offset) / stride + 1);
    const auto zero = static_cast<int32_t>(x_zero_point_);
    for (int64_t ox = begin; ox < end; ++ox) sums[ox] += (row[ox * stride + offset] - zero) * weight;
  }

  Window window_;
  int64_t multiplicity_;
  int64_t x_zero_point_;
  OutputStage stage_;
  std::vector<int32_t> weights_;
};

// Whether the node is a depthwise convolution of 8-bit values with constant weights whose sums fit 32 bits.
bool accepts(const NodeSpec& node) {
  const TensorType &x = *node.inputs[0], &w = *node.inputs[1];
  if (info(x.dtype).bits != 8 || info(w.dtype).bits > 8 || !node.constant(1).present()) return false;
  int64_t largest_w = 0;
  for (int64_t z : node.attributes.integers("w_zero_point", {0}))
    largest_w = std::max(largest_w, largest_difference(info(w.dtype), z));
  const int64_t largest_x = largest_difference(info(x.dtype), node.attributes.integer("x_zero_point", 0));
  return w.shape[1] * w.shape[2] * w.shape[3] * largest_x * largest_w <= INT32_MAX;
}

}  // namespace

std::unique_ptr<Op> make_kernel_depthwise_i8_generic(const NodeSpec& node) {
  if (!accepts(node) || node.inputs[1]->shape[1] != 1) return nullptr;
  if (node.attributes.integer("group", 1) != node.inputs[0]->shape[1]) return nullptr;
  return std::make_unique<DepthwiseI8>(node);
}

}  // namespace bittrue
