// Lookup, Requantize and Clip from 8 bits to 8 bits, as one table.
#include "kernels/path.h"
#include "kernels/table/reference_tables.h"

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

// Whether all channels have one set of parameters.
bool is_per_tensor(const Attributes& a) {
  return a.integers("multiplier", {1}).size() == 1 && a.integers("shift", {0}).size() == 1 &&
         a.reals("scale", {1.0}).size() == 1;
}

}  // namespace

std::unique_ptr<Op> make_kernel_byte_table_avx2(const NodeSpec& node) {
  if (!path_available("avx2") || !is_8_bit(node.inputs[0]->dtype) || !is_8_bit(node.outputs[0]->dtype)) return nullptr;
  if (!is_per_tensor(node.attributes) || (node.inputs.size() > 1 && !node.constant(1).present())) return nullptr;
  return std::make_unique<ByteTableOp>(reference_tables(node, 1, 0)[0]);
}

}  // namespace bittrue
