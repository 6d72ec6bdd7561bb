// Lookup, Requantize and Clip from 8 bits to 8 bits, as one table.
#include <optional>

#include "engine/stage_attributes.h"
#include "kernels/path.h"
#include "kernels/table/byte_table.h"

namespace bittrue {

namespace {

class ByteTableOp final : public Op {
 public:
  explicit ByteTableOp(const ByteTable& table) : table_(table) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.pool.parallel_for(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end) {
      table_.apply(in[0].data + begin, end - begin, out[0].data + begin);
    });
  }

 private:
  ByteTable table_;
};

// One set of parameters for all channels.
bool is_per_tensor(const Requantizer& r) {
  return r.multiplier.size() == 1 && r.shift.size() == 1 && r.scale.size() == 1;
}

std::optional<ByteTable> table_of(const NodeSpec& node) {
  const TensorType& x = *node.inputs[0];
  if (node.op == "Lookup") {
    const ConstTensor table = node.constant(1);
    if (!table.present()) return std::nullopt;
    std::array<uint8_t, 256> entries;
    std::copy_n(table.data, entries.size(), entries.begin());
    return ByteTable(entries);
  }
  const auto axis = static_cast<size_t>(node.attributes.integer("axis", 1));
  const OutputStage stage = read_output_stage(node, axis < x.shape.size() ? x.shape[axis] : 1);
  if (!is_per_tensor(stage.requant)) return std::nullopt;
  const int64_t zero_point = node.op == "Requantize" ? node.attributes.integer("x_zero_point", 0) : 0;
  NoTally none;
  return ByteTable::of(x.dtype, [&](int64_t v) { return stage.apply(v - zero_point, 0, none); });
}

bool is_8_bit(DType type) { return type == DType::int8 || type == DType::uint8; }

}  // namespace

std::unique_ptr<Op> make_kernel_byte_table_avx2(const NodeSpec& node) {
  if (!path_available("avx2") || !is_8_bit(node.inputs[0]->dtype) || !is_8_bit(node.outputs[0]->dtype)) return nullptr;
  const auto table = table_of(node);
  return table ? std::make_unique<ByteTableOp>(*table) : nullptr;
}

}  // namespace bittrue
