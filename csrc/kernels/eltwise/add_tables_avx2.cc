// Add of 8-bit tensors of one shape by any rule: each input has a table of what its values add to the sum.
#include <algorithm>
#include <array>

#include "kernels/eltwise/add_terms.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"

namespace bittrue {

namespace {

using Terms = std::array<int32_t, 256>;  // by the byte of the input

constexpr int64_t block = 2048;  // sums that stay in the first-level cache

class AddTables final : public Op {
 public:
  AddTables(const NodeSpec& node, std::vector<Terms> terms, int64_t largest)
      : terms_(std::move(terms)), stage_(read_output_stage(node, 1), {0}, largest, node.outputs[0]->dtype) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.pool.parallel_for(out[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end) {
      int32_t* sums = scratch<int32_t>(ScratchUse::sums, block);
      for (int64_t first = begin; first < end; first += block) {
        const int64_t count = std::min(block, end - first);
        add_two(in[0].data + first, in[1].data + first, count, sums);
        for (size_t k = 2; k < in.size(); ++k)
          for (int64_t i = 0; i < count; ++i) sums[i] += terms_[k][in[k].data[first + i]];
        stage_.apply_row(sums, count, 0, out[0].data + first * stage_.value_bytes());
      }
    });
  }

 private:
  void add_two(const uint8_t* a, const uint8_t* b, int64_t count, int32_t* sums) const {
    const Terms &of_a = terms_[0], &of_b = terms_[1];
    for (int64_t i = 0; i < count; ++i) sums[i] = of_a[a[i]] + of_b[b[i]];
  }

  std::vector<Terms> terms_;
  VectorStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_add_tables_avx2(const NodeSpec& node) {
  const TensorType& y = *node.outputs[0];
  if (!path_available("avx2") || !VectorStage::writes(y.dtype)) return nullptr;
  if (node.inputs.size() > 2 && node.attributes.integer("saturate_each", 0) != 0) return nullptr;
  const InputStages stages(node);
  std::vector<Terms> terms;
  int64_t largest = 0;  // magnitude of the sum
  for (size_t k = 0; k < node.inputs.size(); ++k) {
    const auto found = add_terms(node, stages, k);
    if (!found || node.inputs[k]->shape != y.shape) return nullptr;
    terms.push_back(found->of_byte);
    largest += found->largest;
  }
  return largest > INT32_MAX ? nullptr : std::make_unique<AddTables>(node, std::move(terms), largest);
}

}  // namespace bittrue
