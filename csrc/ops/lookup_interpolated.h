// LookupInterpolated: 16-bit table with linear interpolation over 512 intervals (TFLite's int16 lookup):
// y = t[i] + R((t[i+1] - t[i]) * (x & 127), 7, half_up), i = 256 + (x >> 7).
#pragma once

#include "engine/op.h"
#include "ops/shapes.h"

namespace bittrue {

class LookupInterpolated final : public Op {
 public:
  explicit LookupInterpolated(const NodeSpec& node) {
    require_inputs(node, 2);
    require_same_shape(node);
    if (node.inputs[1]->elements() != 513) throw DataError("table needs 513 entries");
    if (node.inputs[0]->dtype != DType::int16 || node.outputs[0]->dtype != DType::int16)
      throw DataError("input and output must be int16");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.for_blocks(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end, auto&) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t x = load_int(in[0], i);
        const int64_t entry = 256 + (x >> 7);
        const int64_t base = load_int(in[1], entry);
        const int64_t slope = load_int(in[1], entry + 1) - base;
        store_int(out[0], i, clamp(base + shift_right(slope * (x & 127), 7, Rounding::half_up), -32768, 32767));
      }
    });
  }
};

}  // namespace bittrue
