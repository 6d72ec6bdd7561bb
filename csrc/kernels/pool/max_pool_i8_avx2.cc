// MaxPool2d of bytes on NHWC images: the maximum over the rows of a window, for all pixels of a row, then over its
// columns.
#include <cstring>

#include "engine/stage_attributes.h"
#include "kernels/inside_columns.h"
#include "kernels/path.h"
#include "kernels/scratch.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <type_traits>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

template <class X>
inline __m256i larger(__m256i a, __m256i b) {
  return std::is_signed_v<X> ? _mm256_max_epi8(a, b) : _mm256_max_epu8(a, b);
}

template <class X>
inline __m256i smaller(__m256i a, __m256i b) {
  return std::is_signed_v<X> ? _mm256_min_epi8(a, b) : _mm256_min_epu8(a, b);
}

// Where the values lie whose maximum is taken: `count` addresses of `bytes` bytes, for `pixels` pixels `step` apart.
struct Candidates {
  const uint8_t* const* from;
  int64_t count;
  int64_t pixels, step, bytes;
};

// Writes the maxima of all pixels side by side, limited to [low, high]. `Count` is that of the candidates, or 0 for
// any.
template <class X, int Count>
void write_largest(const Candidates& all, X low, X high, uint8_t* y) {
  constexpr int64_t vector = 32;
  const __m256i least = _mm256_set1_epi8(static_cast<char>(low)), most = _mm256_set1_epi8(static_cast<char>(high));
  const auto largest_at = [&](int64_t at) {
    const auto load = [&](int64_t k) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(all.from[k] + at)); };
    __m256i v = larger<X>(load(0), least);
    for (int64_t k = 1; k < (Count ? Count : all.count); ++k) v = larger<X>(v, load(k));
    return smaller<X>(v, most);
  };
  for (int64_t p = 0; p < all.pixels; ++p, y += all.bytes) {
    const int64_t first = p * all.step;
    int64_t i = 0;
    for (; i + vector <= all.bytes; i += vector)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), largest_at(first + i));
    if (i == all.bytes) continue;
    uint8_t rest[vector];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(rest), largest_at(first + i));
    std::memcpy(y + i, rest, static_cast<size_t>(all.bytes - i));
  }
}

template <class X>
void write_largest(const Candidates& all, X low, X high, uint8_t* y) {
  if (all.count == 2) return write_largest<X, 2>(all, low, high, y);
  if (all.count == 3) return write_largest<X, 3>(all, low, high, y);
  if (all.count == 5) return write_largest<X, 5>(all, low, high, y);
  write_largest<X, 0>(all, low, high, y);
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

template <class X>
class MaxPoolI8Avx2 final : public Op {
 public:
  MaxPoolI8Avx2(const NodeSpec& node, const Window& window, const OutputStage& stage)
      : window_(window),
        C_(node.inputs[0]->shape[1]),
        H_(node.inputs[0]->shape[2]),
        W_(node.inputs[0]->shape[3]),
        OH_(node.outputs[0]->shape[2]),
        OW_(node.outputs[0]->shape[3]),
        inside_(window, W_, OW_),
        low_(static_cast<X>(stage.clamp_min)),
        high_(static_cast<X>(stage.clamp_max)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t grain = elementwise_grain / (window_.kh * W_ * C_ + 1) + 1;
    context.pool.parallel_for(out[0].dim(0) * OH_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        pool_row(in[0].data + row / OH_ * H_ * W_ * C_, row % OH_, out[0].data + row * OW_ * C_);
    });
  }

 private:
  void pool_row(const uint8_t* x, int64_t oy, uint8_t* y) const {
    const uint8_t** addresses = scratch<const uint8_t*>(ScratchUse::panel, std::max(window_.kh, window_.kw));
    int64_t rows = 0;
    for (int64_t ky = 0; ky < window_.kh; ++ky) {
      const int64_t iy = oy * window_.stride_h - window_.pad_top + ky * window_.dilation_h;
      if (iy >= 0 && iy < H_) addresses[rows++] = x + iy * W_ * C_;
    }
    const uint8_t* row = addresses[0];
    if (rows > 1) {
      uint8_t* largest = scratch_bytes(ScratchUse::rows, W_ * C_);
      write_largest<X>({addresses, rows, 1, 0, W_ * C_}, std::numeric_limits<X>::min(), std::numeric_limits<X>::max(),
                       largest);
      row = largest;
    }
    for (int64_t ox = 0, pixels; ox < OW_; ox += pixels, y += pixels * C_) {
      pixels = inside_.run(ox, OW_);
      int64_t columns = 0;
      for (int64_t kx = 0; kx < window_.kw; ++kx) {
        const int64_t ix = ox * window_.stride_w - window_.pad_left + kx * window_.dilation_w;
        if (rows > 0 && ix >= 0 && ix < W_) addresses[columns++] = row + ix * C_;
      }
      if (columns == 0)  // padding alone, which is the lowest value
        std::memset(y, static_cast<uint8_t>(low_), static_cast<size_t>(pixels * C_));
      else if (window_.stride_w == 1)
        write_largest<X>({addresses, columns, 1, 0, pixels * C_}, low_, high_, y);
      else
        write_largest<X>({addresses, columns, pixels, window_.stride_w * C_, C_}, low_, high_, y);
    }
  }

  Window window_;
  int64_t C_, H_, W_, OH_, OW_;
  InsideColumns inside_;
  X low_, high_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_max_pool_i8_avx2(const NodeSpec& node) {
  const DType type = node.inputs[0]->dtype;
  if (!path_available("avx2") || type != node.outputs[0]->dtype || node.outputs[0]->elements() == 0) return nullptr;
  if (!is_8_bit(type)) return nullptr;
  const OutputStage stage = read_output_stage(node, 1);
  if (stage.requant.kind != Requant::none || stage.zero_point != 0) return nullptr;
  const Window window = read_window(node, node.attributes.integers("kernel"));
  if (type == DType::int8) return std::make_unique<MaxPoolI8Avx2<int8_t>>(node, window, stage);
  return std::make_unique<MaxPoolI8Avx2<uint8_t>>(node, window, stage);
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_max_pool_i8_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
