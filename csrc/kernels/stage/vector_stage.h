// The output stage (arith/output_stage.h) on many int32 sums at a time. Rules that have no vector form run through the
// scalar stage, so a kernel may hand every stage to this class and gets the same values.
#pragma once

#include <vector>

#include "arith/output_stage.h"
#include "engine/tensor.h"

namespace bittrue {

// What the vector code reads: one entry per channel, padded so that a whole vector can be loaded from any channel.
struct VectorStageRule {
  enum class Kind : uint8_t {
    none,
    shift,            // 32-bit shift, 0..31
    shift_add,        // half_up, where adding one half cannot overflow: the bias includes it
    multiply32,       // the product fits 32 bits
    multiply64,       // the product fits 64 bits, the shifted product fits 32 bits
    multiply64_high,  // as before, and the shift is at least 32: the upper half of the product is shifted
    multiply_high,  // half_up, and the shift was at least 33: the upper half is rounded and shifted by what is left of
                    // it
    multiply64_wide,  // as before, but the shifted product may need 64 bits
    double_round,
    float_scale,
    scalar  // no vector form
  };
  Kind kind = Kind::scalar;
  Rounding rounding = Rounding::half_up;
  std::vector<int32_t> bias;
  std::vector<int32_t> multiplier;
  std::vector<int32_t> shift;
  std::vector<float> scale;
  int32_t low = 0;  // clamp of the value before the zero point is added
  int32_t high = 0;
  int32_t zero_point = 0;
  bool byte_store = false;  // the result is 8 bits and the zero point within 8 bits: ByteStore clamps
  DType type = DType::int8;
};

// Sums of `channels` channels from `first_channel` on at some pixels: channels are neighbours, pixels lie sum_stride
// sums apart, and out_stride bytes apart in the output. Up to 15 sums beyond the last channel may be read.
struct StagePixels {
  int64_t pixels, first_channel, channels;
  int64_t sum_stride, out_stride;
};

class VectorStage {
 public:
  // `bias` has one entry per channel; it is added to the sums first, modulo 2^32: the kernel guarantees that sum plus
  // bias is exact in 32 bits or that the accumulator wraps. `largest` bounds the magnitude of sum plus bias.
  // Without `vectorize` all values run through the scalar stage.
  VectorStage(const OutputStage& stage, const std::vector<int32_t>& bias, int64_t largest, DType type,
              bool vectorize = true);

  // Whether outputs of this type can be written at all.
  static bool writes(DType type) {
    return type == DType::int8 || type == DType::uint8 || type == DType::int16 || type == DType::int32;
  }

  bool vectorized() const { return rule_.kind != VectorStageRule::Kind::scalar; }
  const VectorStageRule& rule() const { return rule_; }
  int64_t value_bytes() const { return info(rule_.type).bits / 8; }

  // out[i] = stage(sums[i] + bias[channel]) for i < count.
  void apply_row(const int32_t* sums, int64_t count, int64_t channel, uint8_t* out) const;
  // Value c of pixel p is stage(sums[p * sum_stride + c] + bias[first_channel + c]).
  void apply_pixels(const int32_t* sums, const StagePixels& at, uint8_t* out) const;

 private:
  void choose_rule(int64_t largest);
  int64_t scalar(int32_t sum, int64_t channel) const;

  OutputStage stage_;
  int64_t channels_;
  VectorStageRule rule_;
};

// Both return false if this build has no such code.
bool stage_row_avx2(const VectorStageRule& rule, const int32_t* sums, int64_t count, int64_t channel, uint8_t* out);
bool stage_pixels_avx2(const VectorStageRule& rule, const StagePixels& at, const int32_t* sums, uint8_t* out);

}  // namespace bittrue
