// Lookup, Requantize and Clip from 8 bits to 8 bits, as one table.
#include "kernels/path.h"
#include "kernels/table/reference_tables.h"

namespace bittrue {

namespace {

using Apply = void (ByteTable::*)(const uint8_t* x, int64_t count, uint8_t* y) const;

template <Apply apply>
class ByteTableOp final : public Op {
 public:
  explicit ByteTableOp(const ByteTable& table) : table_(table) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.pool.parallel_for(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end) {
      (table_.*apply)(in[0].data + begin, end - begin, out[0].data + begin);
    });
  }

 private:
  ByteTable table_;
};

// Whether all channels have one set of parameters.
bool is_per_tensor(const Attributes& a) {
  return a.integers("multiplier", {1}).size() == 1 && a.integers("shift", {0}).size() == 1 &&
         a.reals("scale", {1.0}).size() == 1;
}

template <Apply apply>
std::unique_ptr<Op> make(const NodeSpec& node) {
  if (!is_8_bit(node.inputs[0]->dtype) || !is_8_bit(node.outputs[0]->dtype)) return nullptr;
  if (!is_per_tensor(node.attributes) || (node.inputs.size() > 1 && !node.constant(1).present())) return nullptr;
  return std::make_unique<ByteTableOp<apply>>(reference_tables(node, 1, 0)[0]);
}

}  // namespace

std::unique_ptr<Op> make_kernel_byte_table_avx2(const NodeSpec& node) {
  return path_available("avx2") ? make<&ByteTable::apply>(node) : nullptr;
}

// Not every processor with the instructions of the path has these.
std::unique_ptr<Op> make_kernel_byte_table_avx512vnni(const NodeSpec& node) {
  return ByteTable::has_vbmi() ? make<&ByteTable::apply_vbmi>(node) : nullptr;
}

}  // namespace bittrue
