// Quantize of a whole tensor with one scale to 8 bits.
#include "engine/stage_attributes.h"
#include "kernels/path.h"

#if defined(__x86_64__)

#include <cstdlib>
#include <cstring>

#include "arith/float_format.h"
#include "kernels/stage/lanes_avx2.h"

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

struct QuantizeRule {
  bool divide;
  float scale;
  int32_t low, high, zero_point;  // the clamp comes before the zero point
  DType type;
};

template <Rounding R>
void quantize(const QuantizeRule& rule, const float* x, int64_t count, uint8_t* y) {
  const __m256 scale = _mm256_set1_ps(rule.scale);
  const __m256 low = _mm256_set1_ps(static_cast<float>(rule.low)), high = _mm256_set1_ps(static_cast<float>(rule.high));
  const __m256i zero_point = _mm256_set1_epi32(rule.zero_point);
  const auto block_of = [&](const float* from, uint8_t* to) {
    Values32 values;
    for (int i = 0; i < 4; ++i) {
      const __m256 v = _mm256_loadu_ps(from + 8 * i);
      const __m256 real = round_real_lanes<R>(rule.divide ? _mm256_div_ps(v, scale) : _mm256_mul_ps(v, scale));
      // max takes its second operand where the first is NaN, which is the lower limit.
      const __m256 limited = _mm256_min_ps(_mm256_max_ps(real, low), high);
      values.v[i] = _mm256_add_epi32(_mm256_cvtps_epi32(limited), zero_point);
    }
    store_block(rule.type, values, to);
  };
  int64_t i = 0;
  for (; i + block <= count; i += block) block_of(x + i, y + i);
  if (i == count) return;
  float rest[block] = {};
  uint8_t rest_out[4 * block];  // room for any type
  std::memcpy(rest, x + i, static_cast<size_t>(count - i) * sizeof(float));
  block_of(rest, rest_out);
  std::memcpy(y + i, rest_out, static_cast<size_t>(count - i));
}

using Function = void (*)(const QuantizeRule&, const float*, int64_t, uint8_t*);

Function function_of(Rounding rounding) {
  switch (rounding) {
    case Rounding::half_up:
      return quantize<Rounding::half_up>;
    case Rounding::half_down:
      return quantize<Rounding::half_down>;
    case Rounding::half_away:
      return quantize<Rounding::half_away>;
    case Rounding::half_even:
      return quantize<Rounding::half_even>;
    case Rounding::floor:
      return quantize<Rounding::floor>;
    case Rounding::ceil:
      return quantize<Rounding::ceil>;
    case Rounding::toward_zero:
      return quantize<Rounding::toward_zero>;
    case Rounding::add_half_trunc:
      break;
  }
  return quantize<Rounding::add_half_trunc>;
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

class QuantizeAvx2 final : public Op {
 public:
  QuantizeAvx2(const QuantizeRule& rule, Function function, bool flush)
      : rule_(rule), function_(function), flush_(flush) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.pool.parallel_for(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end) {
      const FlushGuard guard(flush_);
      function_(rule_, in[0].as<float>() + begin, end - begin, out[0].data + begin);
    });
  }

 private:
  QuantizeRule rule_;
  Function function_;
  bool flush_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_quantize_avx2(const NodeSpec& node) {
  const Attributes& a = node.attributes;
  const DType type = node.outputs[0]->dtype;
  if (!path_available("avx2") || !is_8_bit(type)) return nullptr;
  const std::vector<double> scale = a.reals("scale", {1.0});
  const std::vector<int64_t> zero_point = a.integer_list("zero_point", {0});
  if (scale.size() != 1 || zero_point.size() != 1) return nullptr;
  const int64_t low = a.integer("clamp_min", info(type).min) - zero_point[0];
  const int64_t high = a.integer("clamp_max", info(type).max) - zero_point[0];
  constexpr int64_t exact_in_float = int64_t(1) << 24;
  if (std::abs(low) > exact_in_float || std::abs(high) > exact_in_float) return nullptr;
  const QuantizeRule rule = {a.text("scale_op", "multiply") == "divide",
                             static_cast<float>(scale[0]),
                             static_cast<int32_t>(low),
                             static_cast<int32_t>(high),
                             static_cast<int32_t>(zero_point[0]),
                             type};
  return std::make_unique<QuantizeAvx2>(rule, function_of(read_rounding(a, "rounding", "half_even")),
                                        a.integer("flush", 0) != 0);
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_quantize_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
