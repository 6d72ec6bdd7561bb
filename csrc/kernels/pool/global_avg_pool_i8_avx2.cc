// AvgPool2d whose window is the whole image: one sum a plane.
#include "engine/stage_attributes.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"
#include "ops/window.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

template <class X>
int32_t sum_of(const X* x, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

class GlobalAvgPoolI8Avx2 final : public Op {
 public:
  GlobalAvgPoolI8Avx2(const NodeSpec& node, const OutputStage& stage, int64_t x_zero_point, int64_t largest)
      : size_(node.inputs[0]->shape[2] * node.inputs[0]->shape[3]),
        stage_(stage, {static_cast<int32_t>(-x_zero_point * size_)}, largest, node.outputs[0]->dtype) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const bool is_signed = in[0].dtype() == DType::int8;
    context.pool.parallel_for(out[0].elements(), elementwise_grain / size_ + 1, [&](int64_t begin, int64_t end) {
      int32_t* sums = scratch<int32_t>(ScratchUse::sums, end - begin);
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t first = plane * size_;
        sums[plane - begin] = is_signed ? sum_of(in[0].as<int8_t>() + first, size_) : sum_of(in[0].data + first, size_);
      }
      stage_.apply_row(sums, end - begin, 0, out[0].data + begin * stage_.value_bytes());
    });
  }

 private:
  int64_t size_;
  VectorStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_global_avg_pool_i8_avx2(const NodeSpec& node) {
  const TensorType &x = *node.inputs[0], &y = *node.outputs[0];
  if (!path_available("avx2") || (x.dtype != DType::int8 && x.dtype != DType::uint8)) return nullptr;
  if (!VectorStage::writes(y.dtype) || y.elements() == 0 || y.shape[2] != 1 || y.shape[3] != 1) return nullptr;
  const Window window = read_window(node, node.attributes.integers("kernel"));
  if (window.kh != x.shape[2] || window.kw != x.shape[3] || window.pad_top != 0 || window.pad_left != 0 ||
      window.dilation_h != 1 || window.dilation_w != 1)
    return nullptr;
  const OutputStage stage = read_output_stage(node, 1);
  const int64_t zero_point = node.attributes.integer("x_zero_point", 0);
  const int64_t largest = window.taps() * (256 + (zero_point < 0 ? -zero_point : zero_point));
  if (stage.requant.kind == Requant::divide || largest > INT32_MAX) return nullptr;
  return std::make_unique<GlobalAvgPoolI8Avx2>(node, stage, zero_point, largest);
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_global_avg_pool_i8_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
