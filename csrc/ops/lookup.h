// Lookup: y = table[raw byte of x]; the table has 256 entries of the output type.
#pragma once

#include <algorithm>
#include <cstring>

#include "engine/op.h"
#include "ops/shapes.h"

namespace bittrue {

class Lookup final : public Op {
 public:
  explicit Lookup(const NodeSpec& node) {
    require_inputs(node, 2);
    require_same_shape(node);
    if (node.inputs[1]->elements() != 256) throw DataError("table needs 256 entries");
    if (info(node.inputs[0]->dtype).bits != 8) throw DataError("a table is indexed by 8-bit values");
    if (node.inputs[1]->dtype != node.outputs[0]->dtype) throw DataError("table and output differ in type");
    if (!node.constant(1).present() || node.inputs[1]->dtype == DType::float32) return;
    const std::vector<int32_t> table = widen(node.constant(1));
    const auto [low, high] = std::minmax_element(table.begin(), table.end());
    entries_ = {*low, *high};
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>&) const override { return entries_; }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t size = out[0].type->bytes() / (out[0].elements() ? out[0].elements() : 1);
    const uint8_t* x = in[0].data;
    const uint8_t* table = in[1].data;
    uint8_t* y = out[0].data;
    context.for_blocks(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto&) {
      if (size == 1) {  // the usual case, without a call for every element
        std::transform(x + begin, x + end, y + begin, [table](uint8_t code) { return table[code]; });
        return;
      }
      for (int64_t i = begin; i < end; ++i) std::memcpy(y + i * size, table + x[i] * size, static_cast<size_t>(size));
    });
  }

 private:
  std::optional<ValueRange> entries_;  // of a constant table
};

}  // namespace bittrue
