// Cast between integer types, bool and float32. Integers wrap, bool is x != 0, a float is truncated and saturates at
// the range of the output; NaN counts as the maximum of int32.
#pragma once

#include <cmath>

#include "arith/rounding.h"
#include "arith/saturate.h"
#include "engine/op.h"

namespace bittrue {

class Cast final : public Op {
 public:
  explicit Cast(const NodeSpec& node) {
    if (node.inputs[0]->shape != node.outputs[0]->shape) throw DataError("input and output must have one shape");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const bool from_float = in[0].dtype() == DType::float32, to_float = out[0].dtype() == DType::float32;
    context.pool.parallel_for(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if (from_float && to_float)
          out[0].as<float>()[i] = in[0].as<float>()[i];
        else if (from_float)
          store_int(out[0], i, from_real(in[0].as<float>()[i], out[0].dtype()));
        else if (to_float)
          out[0].as<float>()[i] = static_cast<float>(load_int(in[0], i));
        else
          store_int(out[0], i, out[0].dtype() == DType::boolean ? load_int(in[0], i) != 0 : load_int(in[0], i));
      }
    });
  }

 private:
  static int64_t from_real(float v, DType to) {
    if (to == DType::boolean) return v != 0.0f;
    if (std::isnan(v)) return clamp(INT32_MAX, info(to).min, info(to).max);
    if (v >= 0x1p63f) return info(to).max;
    if (v < -0x1p63f) return info(to).min;
    return clamp(static_cast<int64_t>(v), info(to).min, info(to).max);
  }
};

}  // namespace bittrue
