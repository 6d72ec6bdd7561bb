// Concat on the order in which tensors are stored. Inputs that are requantized pass through a table.
#include <cstring>
#include <optional>

#include "engine/stage_attributes.h"
#include "kernels/move/stored_order.h"
#include "kernels/path.h"
#include "kernels/table/byte_table.h"
#include "ops/broadcast.h"

namespace bittrue {

namespace {

using Tables = std::vector<std::optional<ByteTable>>;

class ConcatAvx2 final : public Op {
 public:
  // `tables` are those of the inputs; an input without one is copied.
  ConcatAvx2(const NodeSpec& node, Tables tables) : tables_(std::move(tables)) {
    const Shape& shape = node.outputs[0]->shape;
    const int64_t axis = stored_axis(normal_axis(node.attributes.integer("axis", 1), shape.size()), shape.size());
    const AxisView view(in_stored_order(shape), axis);
    const int64_t bytes = element_bytes(node.outputs[0]->dtype);
    outer_ = view.outer;
    row_bytes_ = view.length * view.inner * bytes;
    for (const TensorType* input : node.inputs)
      run_bytes_.push_back(AxisView(in_stored_order(input->shape), axis).length * view.inner * bytes);
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.pool.parallel_for(outer_, elementwise_grain / (row_bytes_ + 1) + 1, [&](int64_t begin, int64_t end) {
      uint8_t* to = out[0].data;
      for (size_t k = 0; k < in.size(); to += run_bytes_[k], ++k)
        for (int64_t row = begin; row < end; ++row) move(k, in[k].data + row * run_bytes_[k], to + row * row_bytes_);
    });
  }

 private:
  void move(size_t input, const uint8_t* from, uint8_t* to) const {
    if (tables_[input])
      tables_[input]->apply(from, run_bytes_[input], to);
    else if (run_bytes_[input] > 0)
      std::memcpy(to, from, static_cast<size_t>(run_bytes_[input]));
  }

  Tables tables_;
  int64_t outer_ = 1, row_bytes_ = 0;
  std::vector<int64_t> run_bytes_;  // of each input in a row of the output
};

bool requantizes(const Attributes& a) {
  for (const char* key : {"input_requant", "input_zero_point", "left_shift", "zero_point", "clamp_min", "clamp_max"})
    if (a.has(key)) return true;
  return false;
}

Tables input_tables(const NodeSpec& node) {
  const Attributes& a = node.attributes;
  const DTypeInfo& type = info(node.outputs[0]->dtype);
  const auto count = static_cast<int64_t>(node.inputs.size());
  const Requantizer requantizer = read_requantizer(a, count, "input_");
  const std::vector<int64_t> input_zero_point = a.integer_list("input_zero_point", {0});
  const int64_t factor = int64_t(1) << a.integer("left_shift", 0), zero_point = a.integer("zero_point", 0);
  const int64_t low = a.integer("clamp_min", type.min), high = a.integer("clamp_max", type.max);
  Tables tables;
  for (int64_t k = 0; k < count; ++k) {
    tables.emplace_back(ByteTable::of(node.inputs[static_cast<size_t>(k)]->dtype, [&](int64_t x) {
      const int64_t centered = x - Requantizer::at(input_zero_point, k);
      return clamp(requantizer.apply(centered * factor, k) + zero_point, low, high);
    }));
    if (tables.back()->is_identity()) tables.back().reset();
  }
  return tables;
}

bool is_8_bit(const TensorType& type) { return type.dtype == DType::int8 || type.dtype == DType::uint8; }

}  // namespace

std::unique_ptr<Op> make_kernel_concat_avx2(const NodeSpec& node) {
  const TensorType& y = *node.outputs[0];
  if (!path_available("avx2") || info(y.dtype).bits < 8 || has_constant_image(node)) return nullptr;
  if (!requantizes(node.attributes)) return std::make_unique<ConcatAvx2>(node, Tables(node.inputs.size()));
  bool bytes = is_8_bit(y);
  for (const TensorType* input : node.inputs) bytes = bytes && is_8_bit(*input);
  return bytes ? std::make_unique<ConcatAvx2>(node, input_tables(node)) : nullptr;
}

}  // namespace bittrue
