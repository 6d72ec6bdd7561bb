// MatMul of an 8-bit matrix with a constant 8-bit (or 4-bit) matrix: exact 32-bit dot products, then the output stage.
#include "engine/stage_attributes.h"
#include "kernels/gemm_i8/dot_i16.h"
#include "kernels/gemm_i8/packed_rows.h"

namespace bittrue {

namespace {

class GemmI8 final : public Op {
 public:
  explicit GemmI8(const NodeSpec& node)
      : a_zero_point_(node.attributes.integer("a_zero_point", 0)),
        stage_(read_output_stage(node, node.inputs[1]->shape[1])),
        weights_(node.inputs[1]->shape[1], node.inputs[1]->shape[0]) {
    const std::vector<int64_t> b_zero_point = node.attributes.integers("b_zero_point", {0});
    const ConstTensor b = node.constant(1);
    for (int64_t n = 0; n < weights_.rows; ++n)
      for (int64_t k = 0; k < weights_.K; ++k)
        weights_.row(n)[k] =
            static_cast<int16_t>(load_int(b, k * weights_.rows + n) - Requantizer::at(b_zero_point, n));
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t M = in[0].elements() / weights_.K, K = weights_.K, N = weights_.rows;
    std::vector<int16_t> a(static_cast<size_t>(M * weights_.stride));
    for (int64_t m = 0; m < M; ++m)
      for (int64_t k = 0; k < K; ++k)
        a[static_cast<size_t>(m * weights_.stride + k)] =
            static_cast<int16_t>(load_int(in[0], m * K + k) - a_zero_point_);
    const bool has_bias = in.size() > 2 && in[2].present();
    const int64_t quads = (N + 3) / 4;
    context.for_blocks(M * quads, 8, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t m = i / quads, n0 = i % quads * 4;
        int32_t sums[4];
        dot4_i16(a.data() + m * weights_.stride, weights_.row(n0), weights_.stride, weights_.stride, sums);
        for (int64_t n = n0; n < n0 + 4 && n < N; ++n)
          store_int(out[0], m * N + n, stage_.apply(sums[n - n0] + (has_bias ? load_int(in[2], n) : 0), n, tally));
      }
    });
  }

 private:
  int64_t a_zero_point_;
  OutputStage stage_;
  PackedRows weights_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_gemm_i8_generic(const NodeSpec& node) {
  const TensorType &a = *node.inputs[0], &b = *node.inputs[1];
  if (info(a.dtype).bits > 8 || info(b.dtype).bits > 8 || b.shape.size() != 2 || !node.constant(1).present())
    return nullptr;
  const DTypeInfo &ta = info(a.dtype), &tb = info(b.dtype);
  const int64_t largest_a = largest_8bit_difference(ta.min, ta.max, node.attributes.integer("a_zero_point", 0));
  int64_t largest_b = 0;
  for (int64_t z : node.attributes.integers("b_zero_point", {0}))
    largest_b = std::max(largest_b, largest_8bit_difference(tb.min, tb.max, z));
  if (!fits_int32(b.shape[0], largest_a, largest_b)) return nullptr;
  return std::make_unique<GemmI8>(node);
}

}  // namespace bittrue
