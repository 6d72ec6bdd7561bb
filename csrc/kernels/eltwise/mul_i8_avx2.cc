// Mul of two 8-bit tensors of one shape: products of a block, then the output stage.
#include <algorithm>

#include "engine/stage_attributes.h"
#include "kernels/largest_difference.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

// A plain loop: the compiler makes vectors of it.
template <class A, class B>
void multiply(const A* a, int32_t a_zero_point, const B* b, int32_t b_zero_point, int64_t count, int32_t* products) {
  for (int64_t i = 0; i < count; ++i) products[i] = (a[i] - a_zero_point) * (b[i] - b_zero_point);
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

constexpr int64_t block = 2048;  // products that stay in the first-level cache

template <class A, class B>
class MulI8Avx2 final : public Op {
 public:
  MulI8Avx2(const NodeSpec& node, int64_t largest)
      : a_zero_point_(static_cast<int32_t>(node.attributes.integer("a_zero_point", 0))),
        b_zero_point_(static_cast<int32_t>(node.attributes.integer("b_zero_point", 0))),
        stage_(read_output_stage(node, 1), {0}, largest, node.outputs[0]->dtype) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.pool.parallel_for(out[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end) {
      int32_t* products = scratch<int32_t>(ScratchUse::sums, block);
      for (int64_t i = begin; i < end; i += block) {
        const int64_t count = std::min(block, end - i);
        multiply(in[0].as<A>() + i, a_zero_point_, in[1].as<B>() + i, b_zero_point_, count, products);
        stage_.apply_row(products, count, 0, out[0].data + i * stage_.value_bytes());
      }
    });
  }

 private:
  int32_t a_zero_point_, b_zero_point_;
  VectorStage stage_;
};

template <class A>
std::unique_ptr<Op> make(const NodeSpec& node, int64_t largest) {
  if (node.inputs[1]->dtype == DType::int8) return std::make_unique<MulI8Avx2<A, int8_t>>(node, largest);
  return std::make_unique<MulI8Avx2<A, uint8_t>>(node, largest);
}

}  // namespace

std::unique_ptr<Op> make_kernel_mul_i8_avx2(const NodeSpec& node) {
  const TensorType &a = *node.inputs[0], &b = *node.inputs[1], &y = *node.outputs[0];
  if (!path_available("avx2") || !is_8_bit(a.dtype) || !is_8_bit(b.dtype) || !VectorStage::writes(y.dtype))
    return nullptr;
  if (a.shape != y.shape || b.shape != y.shape) return nullptr;
  const auto largest = [&](const TensorType& type, const char* key) {
    return largest_difference(info(type.dtype), node.attributes.integer(key, 0));
  };
  const int64_t largest_a = largest(a, "a_zero_point"), largest_b = largest(b, "b_zero_point");
  if (largest_a * largest_b > INT32_MAX) return nullptr;
  if (a.dtype == DType::int8) return make<int8_t>(node, largest_a * largest_b);
  return make<uint8_t>(node, largest_a * largest_b);
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_mul_i8_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
