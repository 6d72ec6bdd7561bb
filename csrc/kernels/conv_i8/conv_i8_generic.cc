// Convolution as a matrix product: the patches of a block of output pixels are gathered as 16-bit rows (im2col), then
// every pixel row is multiplied with four weight rows at a time.
#include <algorithm>

#include "engine/stage_attributes.h"
#include "kernels/conv_i8/accepts.h"
#include "kernels/gemm_i8/packed_rows.h"
#include "ops/window.h"

namespace bittrue {

namespace {

constexpr int64_t pixels_per_block = 32;

class ConvI8 final : public Op {
 public:
  explicit ConvI8(const NodeSpec& node)
      : window_(read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]})),
        group_(node.attributes.integer("group", 1)),
        x_zero_point_(node.attributes.integer("x_zero_point", 0)),
        stage_(read_output_stage(node, node.inputs[1]->shape[0])) {
    const ConstTensor w = node.constant(1);
    const std::vector<int64_t> zero_point = node.attributes.integers("w_zero_point", {0});
    const int64_t K = w.dim(1) * w.dim(2) * w.dim(3), per_group = w.dim(0) / group_;
    for (int64_t g = 0; g < group_; ++g) {
      weights_.emplace_back(per_group, K);
      for (int64_t r = 0; r < per_group; ++r)
        for (int64_t k = 0; k < K; ++k) {
          const int64_t oc = g * per_group + r;
          weights_.back().row(r)[k] = static_cast<int16_t>(load_int(w, oc * K + k) - Requantizer::at(zero_point, oc));
        }
    }
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    switch (in[0].dtype()) {
      case DType::int8:
        return run_typed<int8_t>(in, out, context);
      case DType::uint8:
        return run_typed<uint8_t>(in, out, context);
      default:
        throw DataError("conv_i8 needs 8-bit input");
    }
  }

 private:
  template <class X>
  void run_typed(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const {
    const int64_t pixels = out[0].dim(2) * out[0].dim(3);
    const int64_t blocks = (pixels + pixels_per_block - 1) / pixels_per_block;
    const int64_t jobs = out[0].dim(0) * group_ * blocks;
    context.for_blocks(jobs, 1, [&](int64_t begin, int64_t end, auto& tally) {
      const int64_t stride = weights_[0].stride;
      std::vector<int16_t> patches(static_cast<size_t>(pixels_per_block * stride));
      for (int64_t job = begin; job < end; ++job) {
        const int64_t n = job / (group_ * blocks), g = job / blocks % group_;
        const int64_t first = job % blocks * pixels_per_block;
        const int64_t size = std::min(pixels_per_block, pixels - first);
        gather<X>(in[0], out[0].dim(3), n, g, first, size, patches.data());
        multiply(in, out, n, g, first, size, patches.data(), tally);
      }
    });
  }

  template <class X>
  void gather(const ConstTensor& x, int64_t OW, int64_t n, int64_t g, int64_t first, int64_t size,
              int16_t* patches) const {
    const int64_t C = x.dim(1), H = x.dim(2), W = x.dim(3), IC = C / group_, taps = window_.taps();
    const X* base = x.as<X>() + (n * C + g * IC) * H * W;
    const auto zero = static_cast<int32_t>(x_zero_point_);
    for (int64_t p = 0; p < size; ++p) {
      int16_t* row = patches + p * weights_[0].stride;
      std::fill(row, row + weights_[0].stride, int16_t(0));
      const int64_t oy = (first + p) / OW, ox = (first + p) % OW;
      window_.for_taps(oy, ox, H, W, [&](int64_t tap, int64_t iy, int64_t ix) {
        const X* source = base + iy * W + ix;
        for (int64_t ic = 0; ic < IC; ++ic) row[ic * taps + tap] = static_cast<int16_t>(source[ic * H * W] - zero);
      });
    }
  }

  template <class Counting>
  void multiply(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, int64_t n, int64_t g, int64_t first,
                int64_t size, const int16_t* patches, Counting& tally) const {
    const PackedRows& w = weights_[static_cast<size_t>(g)];
    const bool has_bias = in.size() > 2 && in[2].present();
    const int64_t pixels = out[0].dim(2) * out[0].dim(3), OC = out[0].dim(1);
    for (int64_t r0 = 0; r0 < w.rows; r0 += 4)
      for (int64_t p = 0; p < size; ++p) {
        int32_t sums[4];
        dot4_i16(patches + p * w.stride, w.row(r0), w.stride, w.stride, sums);
        for (int64_t r = r0; r < std::min(r0 + 4, w.rows); ++r) {
          const int64_t oc = g * w.rows + r;
          const int64_t sum = sums[r - r0] + (has_bias ? load_int(in[2], oc) : 0);
          store_int(out[0], (n * OC + oc) * pixels + first + p, stage_.apply(sum, oc, tally));
        }
      }
  }

  Window window_;
  int64_t group_;
  int64_t x_zero_point_;
  OutputStage stage_;
  std::vector<PackedRows> weights_;  // one per group
};

}  // namespace

std::unique_ptr<Op> make_kernel_conv_i8_generic(const NodeSpec& node) {
  return conv_i8_accepts(node) ? std::make_unique<ConvI8>(node) : nullptr;
}

}  // namespace bittrue
