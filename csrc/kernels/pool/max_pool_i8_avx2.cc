// MaxPool2d of bytes: the maximum over the rows of a window, then over its columns, a whole row at a time. The loops
// are plain; the compiler makes vectors of them.
#include <algorithm>
#include <cstring>

#include "engine/stage_attributes.h"
#include "kernels/conv_i8/padded_image.h"
#include "kernels/path.h"
#include "kernels/scratch.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

template <class X>
void raise_to(X* __restrict to, const X* __restrict from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = to[i] < from[i] ? from[i] : to[i];
}

template <class X>
void limit_every_other(const X* __restrict from, int64_t n, X low, X high, X* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = std::min(std::max(from[2 * i], low), high);
}

template <class X>
void limit(const X* __restrict from, int64_t n, X low, X high, X* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = std::min(std::max(from[i], low), high);
}

template <class X>
void pool_plane(const Window& window, const PaddedImage& image, const X* x, X low, X high, int64_t OH, int64_t OW,
                X* column, X* row, X* y) {
  const int64_t width = image.padded_width, reach = (OW - 1) * window.stride_w + 1;
  for (int64_t oy = 0; oy < OH; ++oy, y += OW) {
    const X* top = x + oy * window.stride_h * width;
    std::memcpy(column, top, static_cast<size_t>(width));
    for (int64_t ky = 1; ky < window.kh; ++ky) raise_to(column, top + ky * window.dilation_h * width, width);
    std::memcpy(row, column, static_cast<size_t>(reach));
    for (int64_t kx = 1; kx < window.kw; ++kx) raise_to(row, column + kx * window.dilation_w, reach);
    if (window.stride_w == 1)
      limit(row, OW, low, high, y);
    else if (window.stride_w == 2)
      limit_every_other(row, OW, low, high, y);
    else
      for (int64_t i = 0; i < OW; ++i) y[i] = std::min(std::max(row[i * window.stride_w], low), high);
  }
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
        image_(window, 1, node.inputs[0]->shape[2], node.inputs[0]->shape[3], node.outputs[0]->shape[2],
               node.outputs[0]->shape[3]),
        lowest_(static_cast<X>(info(node.inputs[0]->dtype).min)),
        low_(static_cast<X>(stage.clamp_min)),
        high_(static_cast<X>(stage.clamp_max)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t OH = out[0].dim(2), OW = out[0].dim(3), input = image_.height * image_.width;
    const int64_t grain = elementwise_grain / (input + 1) + 1;
    context.pool.parallel_for(out[0].dim(0) * out[0].dim(1), grain, [&](int64_t begin, int64_t end) {
      X* padded = scratch<X>(ScratchUse::image, image_.bytes());
      X* column = scratch<X>(ScratchUse::rows, 2 * image_.padded_width);
      for (int64_t plane = begin; plane < end; ++plane) {
        const uint8_t* x = in[0].data + plane * input;
        if (!image_.same_as_input())
          image_.fill_channel(x, static_cast<uint8_t>(lowest_), reinterpret_cast<uint8_t*>(padded));
        const X* source = image_.same_as_input() ? reinterpret_cast<const X*>(x) : padded;
        pool_plane<X>(window_, image_, source, low_, high_, OH, OW, column, column + image_.padded_width,
                      out[0].as<X>() + plane * OH * OW);
      }
    });
  }

 private:
  Window window_;
  PaddedImage image_;
  X lowest_, low_, high_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_max_pool_i8_avx2(const NodeSpec& node) {
  const DType type = node.inputs[0]->dtype;
  if (!path_available("avx2") || type != node.outputs[0]->dtype || node.outputs[0]->elements() == 0) return nullptr;
  if (type != DType::int8 && type != DType::uint8) return nullptr;
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
