// Depthwise convolution on AVX2: vectors of 16 channels of a pixel. Two taps of a channel stand side by side as 16-bit
// values, which vpmaddwd multiplies and adds.
#include <algorithm>
#include <cstring>

#include "arith/saturate.h"
#include "engine/stage_attributes.h"
#include "kernels/gemm_i8/node_operands.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"
#include "ops/window.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

constexpr int64_t block = 16;  // channels

struct TapRows {
  const uint8_t* const* rows;  // of the kernel, at the first column of the window of the first pixel
  int kh, kw;
  int64_t column, pixel;   // bytes between taps of a row, and between output pixels
  const int16_t* weights;  // [pair of taps][tap of the pair in 16 channels, in the order of unpacking]
};

template <bool Signed>
inline __m256i widen(const uint8_t* x) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return Signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}

inline __m256i load16(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// sums[p * block + c] for `pixels` pixels. `Height` and `Width` are the sizes of the kernel, or 0 for any.
template <bool Signed, int Height, int Width>
void sum_taps(const TapRows& taps, int64_t pixels, int32_t* sums) {
  const int kh = Height ? Height : taps.kh, kw = Width ? Width : taps.kw, count = kh * kw;
  const uint8_t* const* rows = taps.rows;
  const int64_t column = taps.column, pixel = taps.pixel;
  const int16_t* weights = taps.weights;
  for (int64_t p = 0; p < pixels; ++p) {
    __m256i low = _mm256_setzero_si256(), high = low;
#pragma GCC unroll 13
    for (int t = 0; t < count; t += 2) {
      const __m256i a = widen<Signed>(rows[t / kw] + t % kw * column + p * pixel);
      const int u = t + 1;
      const __m256i b = u < count ? widen<Signed>(rows[u / kw] + u % kw * column + p * pixel) : _mm256_setzero_si256();
      const int16_t* w = weights + t * block;
      low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), load16(w)));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), load16(w + block)));
    }
    auto* to = reinterpret_cast<__m256i*>(sums + p * block);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(low, high, 0x31));
  }
}

template <bool Signed>
void sum_taps(const TapRows& taps, int64_t pixels, int32_t* sums) {
  if (taps.kh == 3 && taps.kw == 3) return sum_taps<Signed, 3, 3>(taps, pixels, sums);
  if (taps.kh == 5 && taps.kw == 5) return sum_taps<Signed, 5, 5>(taps, pixels, sums);
  sum_taps<Signed, 0, 0>(taps, pixels, sums);
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

constexpr int64_t chunk_bytes = 64 * 1024;  // of the input rows of a chunk of output rows
constexpr int64_t jobs_per_thread = 4;
constexpr int64_t largest_kernel_rows = 64;

class DepthwiseI8Avx2 final : public Op {
 public:
  DepthwiseI8Avx2(const NodeSpec& node, VectorStage stage, std::vector<int16_t> weights)
      : window_(read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]})),
        C_(node.inputs[0]->shape[1]),
        H_(node.inputs[0]->shape[2]),
        W_(node.inputs[0]->shape[3]),
        OH_(node.outputs[0]->shape[2]),
        OW_(node.outputs[0]->shape[3]),
        reach_w_((OW_ - 1) * window_.stride_w + (window_.kw - 1) * window_.dilation_w + 1),
        is_signed_(node.inputs[0]->dtype == DType::int8),
        padding_(static_cast<uint8_t>(node.attributes.integer("x_zero_point", 0))),
        stage_(std::move(stage)),
        weights_(std::move(weights)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t rows = out[0].dim(0) * OH_, threads = context.pool.threads();
    const int64_t fitting = std::max<int64_t>(1, chunk_bytes / (reach_w_ * C_ * window_.stride_h));
    const int64_t chunk = threads == 1 ? fitting : std::min(fitting, rows / (jobs_per_thread * threads) + 1);
    context.pool.parallel_for((rows + chunk - 1) / chunk, 1, [&](int64_t begin, int64_t end) {
      for (int64_t job = begin; job < end; ++job)
        for (int64_t row = job * chunk; row < std::min(rows, (job + 1) * chunk);) {
          const int64_t n = row / OH_, oy = row % OH_;
          const int64_t count = std::min({OH_ - oy, (job + 1) * chunk - row, rows - row});
          run_rows(in[0].data + n * H_ * W_ * C_, oy, count,
                   out[0].data + (n * OH_ + oy) * OW_ * C_ * stage_.value_bytes());
          row += count;
        }
    });
  }

 private:
  int64_t first_row(int64_t oy) const { return oy * window_.stride_h - window_.pad_top; }

  // Output rows [oy, oy + count) of one image.
  void run_rows(const uint8_t* x, int64_t oy, int64_t count, uint8_t* y) const {
    const int64_t first = first_row(oy),
                  reach = (count - 1) * window_.stride_h + (window_.kh - 1) * window_.dilation_h + 1;
    const bool inside = first >= 0 && first + reach <= H_ && window_.pad_left <= 0 && reach_w_ - window_.pad_left <= W_;
    const int64_t row_bytes = (inside ? W_ : reach_w_) * C_;
    const uint8_t* source = inside ? x + (first * W_ - window_.pad_left) * C_ : padded_rows(x, first, reach);
    int32_t* sums = scratch<int32_t>(ScratchUse::sums, OW_ * block);
    const int64_t pairs = (window_.taps() + 1) / 2, bytes = stage_.value_bytes();
    for (int64_t r = 0; r < count; ++r, y += OW_ * C_ * bytes)
      for (int64_t c = 0; c < C_; c += block) {
        const uint8_t* rows[largest_kernel_rows];
        for (int64_t ky = 0; ky < window_.kh; ++ky)
          rows[ky] = source + (r * window_.stride_h + ky * window_.dilation_h) * row_bytes + c;
        const TapRows taps{rows,
                           static_cast<int>(window_.kh),
                           static_cast<int>(window_.kw),
                           window_.dilation_w * C_,
                           window_.stride_w * C_,
                           weights_.data() + c * 2 * pairs};
        if (is_signed_)
          sum_taps<true>(taps, OW_, sums);
        else
          sum_taps<false>(taps, OW_, sums);
        stage_.apply_pixels(sums, {OW_, c, std::min(block, C_ - c), block, C_ * bytes}, y + c * bytes);
      }
  }

  // Copies of the rows [first, first + count) with their padding.
  const uint8_t* padded_rows(const uint8_t* x, int64_t first, int64_t count) const {
    const int64_t left = std::clamp<int64_t>(window_.pad_left, 0, reach_w_),
                  skipped = std::max<int64_t>(-window_.pad_left, 0);
    const int64_t middle = std::clamp<int64_t>(W_ - skipped, 0, reach_w_ - left);
    uint8_t* copy = scratch_bytes(ScratchUse::image, count * reach_w_ * C_);
    uint8_t* to = copy;
    for (int64_t iy = first; iy < first + count; ++iy, to += reach_w_ * C_) {
      const bool is_row = iy >= 0 && iy < H_;
      std::memset(to, padding_, static_cast<size_t>((is_row ? left : reach_w_) * C_));
      if (!is_row) continue;
      std::memcpy(to + left * C_, x + (iy * W_ + skipped) * C_, static_cast<size_t>(middle * C_));
      std::memset(to + (left + middle) * C_, padding_, static_cast<size_t>((reach_w_ - left - middle) * C_));
    }
    return copy;
  }

  Window window_;
  int64_t C_, H_, W_, OH_, OW_;
  int64_t reach_w_;  // columns from the first that a window reads to the last
  bool is_signed_;
  uint8_t padding_;
  VectorStage stage_;
  std::vector<int16_t> weights_;  // [block of channels], then as in TapRows
};

// Unpacking takes four channels from each half of the vectors of two taps.
int64_t unpacked_place(int64_t channel) { return channel / 4 % 2 * block + channel / 8 * 8 + channel % 4 * 2; }

}  // namespace

std::unique_ptr<Op> make_kernel_depthwise_i8_avx2(const NodeSpec& node) {
  const ConstTensor w = node.constant(1);
  if (!path_available("avx2") || !w.present() || w.elements() == 0 || node.outputs[0]->elements() == 0) return nullptr;
  const int64_t C = w.dim(0), taps = w.dim(2) * w.dim(3), zero_point = node.attributes.integer("x_zero_point", 0);
  if (w.dim(1) != 1 || node.inputs[0]->shape[1] != C || node.attributes.integer("group", 1) != C) return nullptr;
  const DTypeInfo& type = info(node.inputs[0]->dtype);
  if (type.bits != 8 || zero_point < type.min || zero_point > type.max || w.dim(2) > largest_kernel_rows)
    return nullptr;
  const auto weights = node_weights(w, node.attributes.integers("w_zero_point", {0}), steps(C, taps), steps(taps, 1));
  if (!weights) return nullptr;
  const auto sums = node_sums(node, *weights, zero_point);
  if (!sums) return nullptr;
  const int64_t pairs = (taps + 1) / 2;
  std::vector<int16_t> packed(static_cast<size_t>((C + block - 1) / block * pairs * 2 * block));
  std::vector<int32_t> bias;  // x is multiplied where x - zero_point is meant
  for (int64_t c = 0; c < C; ++c) {
    for (int64_t tap = 0; tap < taps; ++tap)
      packed[static_cast<size_t>((c / block * pairs + tap / 2) * 2 * block + unpacked_place(c % block) + tap % 2)] =
          weights->values[static_cast<size_t>(c * taps + tap)];
    const auto i = static_cast<size_t>(c);
    bias.push_back(static_cast<int32_t>(wrap(sums->bias[i] - zero_point * sums->weights[i], 32)));
  }
  return std::make_unique<DepthwiseI8Avx2>(
      node, VectorStage(read_output_stage(node, C), bias, sums->largest, node.outputs[0]->dtype), std::move(packed));
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_depthwise_i8_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
