// Mul and Add of 8-bit tensors, one of which has a value for each channel, or one for all: scales and biases of
// channels, or what a squeeze-and-excitation block makes of them.
#include <algorithm>

#include "engine/stage_attributes.h"
#include "kernels/eltwise/add_terms.h"
#include "kernels/eltwise/row_operand.h"
#include "kernels/largest_difference.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

template <class T>
void multiply_row(const T* x, int32_t zero_point, const int32_t* row, int64_t count, int32_t* products) {
  for (int64_t i = 0; i < count; ++i) products[i] = (x[i] - zero_point) * row[i];
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

namespace {

template <class T>
void multiply_row(const T*, int32_t, const int32_t*, int64_t, int32_t*) {}

}  // namespace

}  // namespace bittrue

#endif

namespace bittrue {

namespace {

constexpr int64_t block = 2048;    // sums that stay in the first-level cache
constexpr int64_t least_row = 64;  // shorter ones are repeated

struct MulRows {
  bool is_signed;
  int32_t zero_point, row_zero_point;
  bool row_is_signed;

  int32_t row_term(uint8_t code) const {
    return (row_is_signed ? static_cast<int8_t>(code) : static_cast<int32_t>(code)) - row_zero_point;
  }
  void combine(const uint8_t* x, const int32_t* row, int64_t count, int32_t* products) const {
    if (is_signed)
      multiply_row(reinterpret_cast<const int8_t*>(x), zero_point, row, count, products);
    else
      multiply_row(x, zero_point, row, count, products);
  }
};

struct AddRows {
  AddTerms terms, row_terms;

  int32_t row_term(uint8_t code) const { return row_terms.of_byte[code]; }
  void combine(const uint8_t* x, const int32_t* row, int64_t count, int32_t* sums) const {
    for (int64_t i = 0; i < count; ++i) sums[i] = terms.of_byte[x[i]] + row[i];
  }
};

template <class Rows>
class RowsOp final : public Op {
 public:
  RowsOp(const RowOperand& operand, Rows rows, VectorStage stage)
      : operand_(operand), rows_(std::move(rows)), stage_(std::move(stage)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const uint8_t* repeated = in[operand_.input].data;
    const int64_t image = out[0].elements() / operand_.images;
    const int64_t length = (least_row + operand_.row - 1) / operand_.row * operand_.row;
    int32_t* row = scratch<int32_t>(ScratchUse::rows, length);
    for (int64_t n = 0; n < operand_.images; ++n) {
      const uint8_t* codes = repeated + (operand_.per_image ? n * operand_.row : 0);
      if (n == 0 || operand_.per_image)
        for (int64_t i = 0; i < length; ++i) row[i] = rows_.row_term(codes[i % operand_.row]);
      const uint8_t* x = in[1 - operand_.input].data + n * image;
      uint8_t* y = out[0].data + n * image * stage_.value_bytes();
      context.pool.parallel_for(image, elementwise_grain, [&](int64_t begin, int64_t end) {
        int32_t* sums = scratch<int32_t>(ScratchUse::sums, block);
        for (int64_t first = begin; first < end; first += block) {
          const int64_t count = std::min(block, end - first);
          for (int64_t i = 0; i < count;) {
            const int64_t at = (first + i) % length, part = std::min(count - i, length - at);
            rows_.combine(x + first + i, row + at, part, sums + i);
            i += part;
          }
          stage_.apply_row(sums, count, 0, y + first * stage_.value_bytes());
        }
      });
    }
  }

 private:
  RowOperand operand_;
  Rows rows_;
  VectorStage stage_;
};

template <class Rows>
std::unique_ptr<Op> make(const NodeSpec& node, const RowOperand& operand, const Rows& rows, int64_t largest) {
  const DType type = node.outputs[0]->dtype;
  if (largest > INT32_MAX || !VectorStage::writes(type)) return nullptr;
  return std::make_unique<RowsOp<Rows>>(operand, rows, VectorStage(read_output_stage(node, 1), {0}, largest, type));
}

}  // namespace

std::unique_ptr<Op> make_kernel_mul_rows_avx2(const NodeSpec& node) {
  const auto operand = path_available("avx2") ? row_operand(node) : std::nullopt;
  if (!operand) return nullptr;
  const TensorType &x = *node.inputs[1 - operand->input], &row = *node.inputs[operand->input];
  if (!is_8_bit(x.dtype) || !is_8_bit(row.dtype)) return nullptr;
  int64_t zero_points[2] = {node.attributes.integer("a_zero_point", 0), node.attributes.integer("b_zero_point", 0)};
  if (operand->input == 0) std::swap(zero_points[0], zero_points[1]);
  const int64_t largest_x = largest_difference(info(x.dtype), zero_points[0]);
  const int64_t largest_row = largest_difference(info(row.dtype), zero_points[1]);
  if (largest_x > INT32_MAX || largest_row > INT32_MAX) return nullptr;
  return make(node, *operand,
              MulRows{x.dtype == DType::int8, static_cast<int32_t>(zero_points[0]),
                      static_cast<int32_t>(zero_points[1]), row.dtype == DType::int8},
              largest_x * largest_row);
}

std::unique_ptr<Op> make_kernel_add_rows_avx2(const NodeSpec& node) {
  const auto operand = path_available("avx2") ? row_operand(node) : std::nullopt;
  if (!operand) return nullptr;
  const InputStages stages(node);
  const auto terms = add_terms(node, stages, 1 - operand->input), row_terms = add_terms(node, stages, operand->input);
  if (!terms || !row_terms) return nullptr;
  return make(node, *operand, AddRows{*terms, *row_terms}, terms->largest + row_terms->largest);
}

}  // namespace bittrue
