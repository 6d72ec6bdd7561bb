#include "kernels/gemm_i8/gemm_i8_words.h"

#include <algorithm>

#include "engine/stage_attributes.h"
#include "kernels/gemm_i8/packed_words.h"
#include "kernels/gemm_i8/word_operands.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"

namespace bittrue {

namespace {

constexpr int64_t blocks_per_job = 4 * channel_vectors;

class GemmI8Words final : public Op {
 public:
  GemmI8Words(const NodeSpec& node, const WordGemm& gemm, const WordOperands& operands, PackedWords weights)
      : gemm_(gemm),
        a_zero_point_(node.attributes.integer("a_zero_point", 0)),
        K_(node.inputs[1]->shape[0]),
        N_(node.inputs[1]->shape[1]),
        stage_(read_output_stage(node, N_), operands.bias, operands.largest, node.outputs[0]->dtype),
        weights_(std::move(weights)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t M = in[0].elements() / K_, words = weights_.k_words();
    uint32_t* a = scratch<uint32_t>(ScratchUse::panel, M * words);
    const bool is_signed = in[0].dtype() == DType::int8;
    context.pool.parallel_for(M, elementwise_grain / K_ + 1, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin; m < end; ++m) to_words(in[0].data + m * K_, is_signed, a + m * words);
    });
    const int64_t jobs = (weights_.blocks() + blocks_per_job - 1) / blocks_per_job;
    context.pool.parallel_for(M * jobs, 1, [&](int64_t begin, int64_t end) {
      int32_t* sums = scratch<int32_t>(ScratchUse::sums, blocks_per_job * gemm_.lanes);
      for (int64_t i = begin; i < end; ++i) {
        // Rows of one job follow each other, so that its weights stay in the cache.
        const int64_t block = i / M * blocks_per_job, m = i % M, n = block * gemm_.lanes;
        const int64_t blocks = std::min(blocks_per_job, weights_.blocks() - block);
        gemm_.multiply_channels(weights_.at(n), weights_.block_stride(), blocks, a + m * words, 1, words, sums);
        stage_.apply_pixels(sums, {1, n, std::min(blocks * gemm_.lanes, N_ - n), 0, 0},
                            out[0].data + (m * N_ + n) * stage_.value_bytes());
      }
    });
  }

 private:
  void to_words(const uint8_t* x, bool is_signed, uint32_t* words) const {
    const int bits = 32 / gemm_.values_per_word;
    const uint32_t mask = (uint32_t(1) << bits) - 1;
    const int64_t offset = gemm_.subtracts_zero_point() ? -a_zero_point_ : (is_signed ? 128 : 0);
    for (int64_t word = 0; word < weights_.k_words(); ++word) {
      uint32_t packed = 0;
      for (int i = 0; i < gemm_.values_per_word; ++i) {
        const int64_t k = word * gemm_.values_per_word + i;
        if (k >= K_) break;
        const int64_t v = (is_signed ? static_cast<int8_t>(x[k]) : x[k]) + offset;
        packed |= (static_cast<uint32_t>(v) & mask) << (i * bits);
      }
      words[word] = packed;
    }
  }

  const WordGemm& gemm_;
  int64_t a_zero_point_;
  int64_t K_, N_;
  VectorStage stage_;
  PackedWords weights_;
};

}  // namespace

std::unique_ptr<Op> make_gemm_i8_words(const NodeSpec& node, const WordGemm* gemm) {
  const ConstTensor b = node.constant(1);
  if (!gemm || !path_available(gemm->path) || !b.present() || b.shape().size() != 2 || b.elements() == 0)
    return nullptr;
  const int64_t K = b.dim(0), N = b.dim(1);
  const std::vector<int64_t> b_zero_point = node.attributes.integers("b_zero_point", {0});
  const auto value = [&](int64_t n, int64_t k) { return load_int(b, k * N + n) - Requantizer::at(b_zero_point, n); };
  const auto operands = word_operands(node, *gemm, node.attributes.integer("a_zero_point", 0), N, K, value);
  if (!operands) return nullptr;
  return std::make_unique<GemmI8Words>(node, *gemm, *operands, PackedWords(*gemm, N, K, value));
}

}  // namespace bittrue
