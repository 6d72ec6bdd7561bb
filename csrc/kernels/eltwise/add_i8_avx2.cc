// Add of two 8-bit tensors of one shape whose inputs are scaled by a small multiplier and a half_up shift, and whose
// sum is only clamped. (x - z) * m + half is one vpmaddwd of the pairs (x - z, 1) and (m, half).
#include "engine/stage_attributes.h"
#include "kernels/path.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdlib>
#include <cstring>
#include <optional>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

struct AddInput {
  bool is_signed;
  bool negative;  // subtracted
  int16_t zero_point, multiplier, half;
  int shift;
};

struct AddRule {
  AddInput inputs[2];
  int16_t low, high, zero_point;  // the clamp comes before the zero point
  bool signed_output;
};

constexpr int64_t add_block = 16;

struct Scaled {
  __m256i low, high;  // the halves of every 128 bits, as unpacking leaves them
};

struct ScaledInput {
  __m256i zero_point, factors;
  __m128i shift;
  bool is_signed;

  explicit ScaledInput(const AddInput& input)
      : zero_point(_mm256_set1_epi16(input.zero_point)),
        factors(_mm256_set1_epi32(static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint16_t>(input.half)) << 16 |
                                                       static_cast<uint16_t>(input.multiplier)))),
        shift(_mm_cvtsi32_si128(input.shift)),
        is_signed(input.is_signed) {}

  Scaled at(const uint8_t* x) const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    const __m256i wide = is_signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
    const __m256i centred = _mm256_sub_epi16(wide, zero_point), one = _mm256_set1_epi16(1);
    const __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi16(centred, one), factors);
    const __m256i high = _mm256_madd_epi16(_mm256_unpackhi_epi16(centred, one), factors);
    return {_mm256_sra_epi32(low, shift), _mm256_sra_epi32(high, shift)};
  }
};

__m256i signed_sum(__m256i a, __m256i b, bool minus_a, bool minus_b) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i first = minus_a ? _mm256_sub_epi32(zero, a) : a;
  return minus_b ? _mm256_sub_epi32(first, b) : _mm256_add_epi32(first, b);
}

void add_all(const AddRule& rule, const uint8_t* a, const uint8_t* b, int64_t count, uint8_t* y) {
  const ScaledInput first(rule.inputs[0]), second(rule.inputs[1]);
  const bool minus_a = rule.inputs[0].negative, minus_b = rule.inputs[1].negative;
  const __m256i low = _mm256_set1_epi16(rule.low), high = _mm256_set1_epi16(rule.high);
  const __m256i zero_point = _mm256_set1_epi16(rule.zero_point);
  const auto block_of = [&](const uint8_t* from_a, const uint8_t* from_b, uint8_t* to) {
    const Scaled p = first.at(from_a), q = second.at(from_b);
    // The clamp range lies inside 16 bits, so that limiting the sum to 16 bits first changes nothing.
    __m256i v =
        _mm256_packs_epi32(signed_sum(p.low, q.low, minus_a, minus_b), signed_sum(p.high, q.high, minus_a, minus_b));
    v = _mm256_add_epi16(_mm256_min_epi16(_mm256_max_epi16(v, low), high), zero_point);
    const __m256i bytes = rule.signed_output ? _mm256_packs_epi16(v, v) : _mm256_packus_epi16(v, v);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(_mm256_permute4x64_epi64(bytes, 0x08)));
  };
  int64_t i = 0;
  for (; i + add_block <= count; i += add_block) block_of(a + i, b + i, y + i);
  if (i == count) return;
  uint8_t rest[3][add_block] = {};
  std::memcpy(rest[0], a + i, static_cast<size_t>(count - i));
  std::memcpy(rest[1], b + i, static_cast<size_t>(count - i));
  block_of(rest[0], rest[1], rest[2]);
  std::memcpy(y + i, rest[2], static_cast<size_t>(count - i));
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

class AddI8Avx2 final : public Op {
 public:
  explicit AddI8Avx2(const AddRule& rule) : rule_(rule) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.pool.parallel_for(out[0].elements(), 2 * elementwise_grain, [&](int64_t begin, int64_t end) {
      add_all(rule_, in[0].data + begin, in[1].data + begin, end - begin, out[0].data + begin);
    });
  }

 private:
  AddRule rule_;
};

bool fits_int16(int64_t v) { return v >= INT16_MIN && v <= INT16_MAX; }

std::optional<AddInput> read_input(const NodeSpec& node, const Requantizer& requant, int64_t i) {
  const Attributes& a = node.attributes;
  const DTypeInfo& type = info(node.inputs[static_cast<size_t>(i)]->dtype);
  int64_t multiplier = 1, shift = 0;
  if (requant.kind == Requant::multiplier_shift) multiplier = Requantizer::at(requant.multiplier, i);
  if (requant.kind == Requant::multiplier_shift || requant.kind == Requant::shift)
    shift = Requantizer::at(requant.shift, i);
  else if (requant.kind != Requant::none)
    return std::nullopt;
  if (shift < 0 || shift > 15 || (shift > 0 && requant.rounding != Rounding::half_up)) return std::nullopt;
  multiplier *= int64_t(1) << a.integer("left_shift", 0);
  const int64_t zero_point = Requantizer::at(a.integers("input_zero_point", {0}), i);
  const int64_t half = shift > 0 ? int64_t(1) << (shift - 1) : 0;
  if (!fits_int16(type.min - zero_point) || !fits_int16(type.max - zero_point) || !fits_int16(zero_point) ||
      !fits_int16(multiplier))
    return std::nullopt;
  return AddInput{type.min < 0,
                  Requantizer::at(a.integers("signs", {1}), i) < 0,
                  static_cast<int16_t>(zero_point),
                  static_cast<int16_t>(multiplier),
                  static_cast<int16_t>(half),
                  static_cast<int>(shift)};
}

}  // namespace

std::unique_ptr<Op> make_kernel_add_i8_avx2(const NodeSpec& node) {
  if (!path_available("avx2") || node.inputs.size() != 2 || !is_8_bit(node.outputs[0]->dtype)) return nullptr;
  for (const TensorType* input : node.inputs)
    if (!is_8_bit(input->dtype) || input->shape != node.outputs[0]->shape) return nullptr;
  for (int64_t sign : node.attributes.integers("signs", {1}))
    if (sign != 1 && sign != -1) return nullptr;
  const OutputStage stage = read_output_stage(node, 1);
  const int64_t low = stage.clamp_min - stage.zero_point, high = stage.clamp_max - stage.zero_point;
  if (stage.requant.kind != Requant::none || !fits_int16(low) || !fits_int16(high) || !fits_int16(stage.zero_point))
    return nullptr;
  const Requantizer requant = read_requantizer(node.attributes, 2, "input_");
  const auto a = read_input(node, requant, 0), b = read_input(node, requant, 1);
  if (!a || !b) return nullptr;
  return std::make_unique<AddI8Avx2>(AddRule{{*a, *b},
                                             static_cast<int16_t>(low),
                                             static_cast<int16_t>(high),
                                             static_cast<int16_t>(stage.zero_point),
                                             node.outputs[0]->dtype == DType::int8});
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_add_i8_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
