// Concat on the order in which tensors are stored. Inputs that are requantized pass through a table.
#include <cstring>
#include <optional>

#include "kernels/move/stored_order.h"
#include "kernels/path.h"
#include "kernels/table/reference_tables.h"
#include "ops/concat.h"

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

// Those of inputs that are requantized.
Tables input_tables(const NodeSpec& node) {
  const size_t axis = normal_axis(node.attributes.integer("axis", 1), node.inputs[0]->shape.size());
  Tables tables;
  for (const ByteTable& table : reference_tables(node, node.inputs.size(), axis))
    tables.push_back(table.is_identity() ? std::nullopt : std::optional<ByteTable>(table));
  return tables;
}

}  // namespace

std::unique_ptr<Op> make_kernel_concat_avx2(const NodeSpec& node) {
  const TensorType& y = *node.outputs[0];
  if (!path_available("avx2") || info(y.dtype).bits < 8 || has_constant_image(node)) return nullptr;
  if (!Concat::requantizes(node.attributes)) return std::make_unique<ConcatAvx2>(node, Tables(node.inputs.size()));
  bool bytes = is_8_bit(y.dtype);
  for (const TensorType* input : node.inputs) bytes = bytes && is_8_bit(input->dtype);
  return bytes ? std::make_unique<ConcatAvx2>(node, input_tables(node)) : nullptr;
}

}  // namespace bittrue
