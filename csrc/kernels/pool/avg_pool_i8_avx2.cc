// AvgPool2d of bytes on NHWC images: sums of vectors of channels over the taps of each pixel.
#include "engine/stage_attributes.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"
#include "ops/window.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <type_traits>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

constexpr int64_t vector = 16;
constexpr int64_t block = 4 * vector;    // channels
constexpr int64_t taps_of_a_word = 128;  // whose sum fits 16 bits

// sums[c] = start + the sum of taps[t][channel + c] for c < block.
template <class X>
void sum_block(const uint8_t* const* taps, int64_t count, int64_t channel, int32_t start, int32_t* sums) {
  for (int64_t c = 0; c < block; ++c) sums[c] = start;
  for (int64_t first = 0; first < count; first += taps_of_a_word) {
    __m256i words[4] = {};
    for (int64_t t = first; t < std::min(first + taps_of_a_word, count); ++t)
      for (int i = 0; i < 4; ++i) {
        const auto* from = reinterpret_cast<const __m128i*>(taps[t] + channel + i * vector);
        const __m128i bytes = _mm_loadu_si128(from);
        words[i] =
            _mm256_add_epi16(words[i], std::is_signed_v<X> ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes));
      }
    for (int i = 0; i < 4; ++i)
      for (int half = 0; half < 2; ++half) {
        auto* to = reinterpret_cast<__m256i*>(sums + i * vector + half * 8);
        const __m128i eight = half ? _mm256_extracti128_si256(words[i], 1) : _mm256_castsi256_si128(words[i]);
        _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), _mm256_cvtepi16_epi32(eight)));
      }
  }
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

template <class X>
class AvgPoolI8Avx2 final : public Op {
 public:
  AvgPoolI8Avx2(const NodeSpec& node, const Window& window, const OutputStage& stage, int64_t largest)
      : window_(window),
        C_(node.inputs[0]->shape[1]),
        H_(node.inputs[0]->shape[2]),
        W_(node.inputs[0]->shape[3]),
        x_zero_point_(node.attributes.integer("x_zero_point", 0)),
        count_include_pad_(node.attributes.integer("count_include_pad", 1) != 0),
        stage_(stage),
        vector_stage_(stage, std::vector<int32_t>(static_cast<size_t>(C_), static_cast<int32_t>(full_bias())), largest,
                      node.outputs[0]->dtype) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t OH = out[0].dim(2), OW = out[0].dim(3), blocks = (C_ + block - 1) / block;
    const int64_t grain = elementwise_grain / (window_.taps() * block) + 1, bytes = vector_stage_.value_bytes();
    context.pool.parallel_for(out[0].dim(0) * OH * OW * blocks, grain, [&](int64_t begin, int64_t end) {
      const uint8_t** taps = scratch<const uint8_t*>(ScratchUse::panel, window_.taps());
      for (int64_t job = begin; job < end; ++job) {
        const int64_t pixel = job / blocks, channel = job % blocks * block;
        const uint8_t* x = in[0].data + pixel / (OH * OW) * H_ * W_ * C_;
        int64_t count = 0;
        window_.for_taps(pixel / OW % OH, pixel % OW, H_, W_,
                         [&](int64_t, int64_t iy, int64_t ix) { taps[count++] = x + (iy * W_ + ix) * C_; });
        run_block(taps, count, channel, Tensor{out[0].type, out[0].data + (pixel * C_ + channel) * bytes});
      }
    });
  }

 private:
  int64_t full_bias() const { return -x_zero_point_ * window_.taps(); }

  void run_block(const uint8_t* const* taps, int64_t count, int64_t channel, const Tensor& y) const {
    alignas(32) int32_t sums[block];
    const int64_t channels = std::min(block, C_ - channel);
    // The bias takes the zero point from all taps, also from those outside, which do not count.
    const auto outside = static_cast<int32_t>((window_.taps() - count) * x_zero_point_);
    sum_block<X>(taps, count, channel, outside, sums);
    if (stage_.requant.kind != Requant::divide)
      return vector_stage_.apply_pixels(sums, {1, channel, channels, block, 0}, y.data);
    const int64_t divisor = count_include_pad_ || count == 0 ? window_.taps() : count;
    NoTally none;
    for (int64_t c = 0; c < channels; ++c) store_int(y, c, stage_.apply(sums[c] + full_bias(), 0, none, divisor));
  }

  Window window_;
  int64_t C_, H_, W_;
  int64_t x_zero_point_;
  bool count_include_pad_;
  OutputStage stage_;
  VectorStage vector_stage_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_avg_pool_i8_avx2(const NodeSpec& node) {
  const TensorType &x = *node.inputs[0], &y = *node.outputs[0];
  if (!path_available("avx2") || !is_8_bit(x.dtype)) return nullptr;
  if (!VectorStage::writes(y.dtype) || y.elements() == 0) return nullptr;
  const Window window = read_window(node, node.attributes.integers("kernel"));
  const OutputStage stage = read_output_stage(node, 1);
  const int64_t zero_point = node.attributes.integer("x_zero_point", 0);
  const int64_t largest = window.taps() * (256 + (zero_point < 0 ? -zero_point : zero_point));
  if (largest > INT32_MAX) return nullptr;
  if (x.dtype == DType::int8) return std::make_unique<AvgPoolI8Avx2<int8_t>>(node, window, stage, largest);
  return std::make_unique<AvgPoolI8Avx2<uint8_t>>(node, window, stage, largest);
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_avg_pool_i8_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
