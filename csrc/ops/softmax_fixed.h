// SoftmaxFixed: softmax in 32-bit fixed point, as TFLite's reference kernel (source: gemmlowp/fixedpoint.h).
// e_c = table[clamp(max - x_c, 0, 255)] (31 fraction bits); s = sum of R(e_c, 12); k = leading zeros of s (32 bits);
// r = reciprocal(s << k); y_c = clamp(R(H(r, e_c), 43 - k - bits) + lowest), bits and lowest of the output type.
// H(a, b) = R(a*b, 31, half_up); R rounds half away.
#pragma once

#include <algorithm>

#include "arith/rounding.h"
#include "ops/shapes.h"

namespace bittrue {

constexpr int64_t limit_int32(int64_t v) { return clamp(v, INT32_MIN, INT32_MAX); }
constexpr int64_t high_multiply(int64_t a, int64_t b) { return shift_right(a * b, 31, Rounding::half_up); }

// 2^62 / d / 2, nearly, for d in [2^31, 2^32): three Newton steps from the line 48/17 - 32/17 * d / 2^32.
constexpr int64_t fixed_reciprocal(int64_t d) {
  constexpr int64_t one = int64_t(1) << 29;                   // two integer bits
  const int64_t half = d / 2;                                 // d / 2^32 with 31 fraction bits
  int64_t x = 1515870810 + high_multiply(half, -1010580540);  // 48/17, -32/17
  for (int step = 0; step < 3; ++step) x += limit_int32(high_multiply(x, one - high_multiply(half, x)) * 4);
  return limit_int32(x * 2);
}

class SoftmaxFixed final : public Op {
 public:
  explicit SoftmaxFixed(const NodeSpec& node)
      : axis_(with_inputs(node, 2).attributes.integer("axis", 1)), output_(info(node.outputs[0]->dtype)) {
    require_same_shape(node);
    require(node.inputs[1]->dtype == DType::int32, "the table must be int32");
    require(output_.bits == 8 || output_.bits == 16, "the output must have 8 or 16 bits");
    if (node.inputs[1]->elements() != 256) throw DataError("table needs 256 entries");
    const Shape& shape = node.inputs[0]->shape;
    if (axis_ < 0 || axis_ >= static_cast<int64_t>(shape.size())) throw DataError("bad axis");
    require(shape[static_cast<size_t>(axis_)] < 4096, "the sum of 4096 or more exponentials does not fit 32 bits");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const Shape& shape = in[0].shape();
    const auto axis = static_cast<size_t>(axis_);
    const int64_t C = shape[axis], inner = count(Shape(shape.begin() + axis_ + 1, shape.end()));
    context.for_blocks(in[0].elements() / (C ? C : 1), 64, [&](int64_t begin, int64_t end, auto&) {
      for (int64_t line = begin; line < end; ++line) {
        const int64_t base = line / inner * C * inner + line % inner;
        int64_t largest = INT64_MIN;
        for (int64_t c = 0; c < C; ++c) largest = std::max(largest, load_int(in[0], base + c * inner));
        // Negative entries have no meaning as an exponential: they count as 0.
        const auto entry = [&](int64_t c) {
          return std::max<int64_t>(0, load_int(in[1], clamp(largest - load_int(in[0], base + c * inner), 0, 255)));
        };
        int64_t sum = 0;
        for (int64_t c = 0; c < C; ++c) sum += shift_right(entry(c), 12, Rounding::half_away);
        if (sum == 0) sum = 1;  // of a table of zeros: every entry is 0 then
        const int zeros = __builtin_clz(static_cast<uint32_t>(sum));
        const int64_t reciprocal = fixed_reciprocal(sum << zeros);
        for (int64_t c = 0; c < C; ++c) {
          const int64_t product = high_multiply(reciprocal, entry(c));
          const int64_t y = shift_right(product, 43 - zeros - output_.bits, Rounding::half_away) + output_.min;
          store_int(out[0], base + c * inner, clamp(y, output_.min, output_.max));
        }
      }
    });
  }

 private:
  int64_t axis_;
  DTypeInfo output_;
};

}  // namespace bittrue
