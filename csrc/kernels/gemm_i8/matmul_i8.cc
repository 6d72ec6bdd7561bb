// MatMul with constant weights on the vector paths.
#include <algorithm>

#include "kernels/gemm_i8/input_values.h"
#include "kernels/gemm_i8/product.h"
#include "kernels/path.h"
#include "kernels/scratch.h"

namespace bittrue {

namespace {

constexpr int64_t rows_at_once = 32;

class MatMulI8 final : public Op {
 public:
  MatMulI8(const NodeSpec& node, Product product)
      : K_(node.inputs[1]->shape[0]), N_(node.inputs[1]->shape[1]), product_(std::move(product)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t M = in[0].elements() / K_, row_bytes = K_ * product_.input().value_bytes;
    const uint8_t* rows = in[0].data;
    if (product_.input().changes(in[0].dtype())) {
      uint8_t* changed = scratch_bytes(ScratchUse::image, M * row_bytes);
      context.pool.parallel_for(M * K_, elementwise_grain, [&](int64_t begin, int64_t end) {
        change_values(in[0], begin, end - begin, product_.input(), changed + begin * product_.input().value_bytes);
      });
      rows = changed;
    }
    const int64_t chunks = (M + rows_at_once - 1) / rows_at_once, blocks = product_.blocks();
    const int64_t parts = std::min(blocks, std::max<int64_t>(1, 4 * context.pool.threads() / chunks));
    context.pool.parallel_for(chunks * parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t job = begin; job < end; ++job) {
        const int64_t first = job / parts * rows_at_once, part = job % parts, count = std::min(rows_at_once, M - first);
        const uint8_t* addresses[rows_at_once];
        for (int64_t m = 0; m < count; ++m) addresses[m] = rows + (first + m) * row_bytes;
        product_.run(addresses, count, 0, blocks * part / parts, blocks * (part + 1) / parts,
                     out[0].data + first * N_ * product_.value_bytes(), N_ * product_.value_bytes());
      }
    });
  }

 private:
  int64_t K_, N_;
  Product product_;
};

std::unique_ptr<Op> make(const NodeSpec& node, const std::vector<TileGemm>& ways) {
  const ConstTensor b = node.constant(1);
  if (ways.empty() || !path_available(ways[0].path) || !b.present() || b.elements() == 0 || b.shape().size() != 2)
    return nullptr;
  if (node.outputs[0]->elements() == 0) return nullptr;
  const int64_t K = b.dim(0), N = b.dim(1);
  const auto weights = node_weights(b, node.attributes.integers("b_zero_point", {0}), steps(N, 1), steps(K, N));
  if (!weights) return nullptr;
  auto product = Product::make(node, ways, node.attributes.integer("a_zero_point", 0), false, {{0}, K}, 1, *weights);
  return product ? std::make_unique<MatMulI8>(node, std::move(*product)) : nullptr;
}

}  // namespace

BITTRUE_TILE_KERNEL(gemm_i8, make)

}  // namespace bittrue
