// FloatBinary: one binary32 operation on two inputs that broadcast.
#pragma once

#include <cmath>
#include <vector>

#include "arith/float_functions.h"
#include "ops/broadcast.h"
#include "ops/float_mode.h"

namespace bittrue {

class FloatBinary final : public Op {
 public:
  explicit FloatBinary(const NodeSpec& node)
      : mode_(read_float_mode(node)),
        kind_(node.attributes.choice<Kind>("kind", {"add", "sub", "mul", "div", "min", "max", "pow"}, "add")),
        rsqrt2_(node.attributes.choice<int>("division", {"ieee", "rsqrt2"}, "ieee") == 1),
        relu_(node) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> a = read_floats(in[0], mode_), b = read_floats(in[1], mode_);
    const std::vector<int64_t> a_strides = broadcast_strides(in[0].shape(), out[0].shape());
    const std::vector<int64_t> b_strides = broadcast_strides(in[1].shape(), out[0].shape());
    const bool same = in[0].shape() == in[1].shape();
    const bool guarded = mode_.flush && kind_ != Kind::pow;
    guarded_blocks(context, out[0].elements(), elementwise_grain, guarded, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t ia = same ? i : strided_offset(i, out[0].shape(), a_strides);
        const int64_t ib = same ? i : strided_offset(i, out[0].shape(), b_strides);
        const float v = apply(a[static_cast<size_t>(ia)], b[static_cast<size_t>(ib)]);
        out[0].as<float>()[i] = mode_.stored(relu_.apply(v));
      }
    });
  }

 private:
  enum class Kind : uint8_t { add, sub, mul, div, min, max, pow };

  float apply(float a, float b) const {
    switch (kind_) {
      case Kind::add:
        return add(a, b);
      case Kind::sub:
        return sub(a, b);
      case Kind::mul:
        return mul(a, b);
      case Kind::div:
        return rsqrt2_ ? mul(a, recip_newton(b)) : divide_real(a, b);
      case Kind::min:
        return min_of(a, b);
      case Kind::max:
        return max_of(a, b);
      case Kind::pow:
        return static_cast<float>(std::pow(double(a), double(b)));
    }
    return a;
  }

  FloatMode mode_;
  Kind kind_;
  bool rsqrt2_;
  FloatRelu relu_;
};

}  // namespace bittrue
