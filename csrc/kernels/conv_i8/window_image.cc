#include "kernels/conv_i8/window_image.h"

#include <algorithm>

#include "kernels/gemm_i8/input_values.h"
#include "kernels/scratch.h"

namespace bittrue {

WindowImage::WindowImage(const Window& window, const Shape& x, const Shape& y)
    : window_(window),
      channels_(x[1]),
      height_(x[2]),
      width_(x[3]),
      reach_h_((y[2] - 1) * window.stride_h + (window.kh - 1) * window.dilation_h + 1),
      reach_w_((y[3] - 1) * window.stride_w + (window.kw - 1) * window.dilation_w + 1) {}

bool WindowImage::has_padding() const {
  return window_.pad_top > 0 || window_.pad_left > 0 || reach_h_ - window_.pad_top > height_ ||
         reach_w_ - window_.pad_left > width_;
}

PixelSegments WindowImage::segments(int64_t groups) const {
  PixelSegments segments;
  const bool whole_rows = groups == 1 && window_.dilation_w == 1;
  segments.length = channels_ / groups * (whole_rows ? window_.kw : 1);
  for (int64_t ky = 0; ky < window_.kh; ++ky)
    for (int64_t kx = 0; kx < (whole_rows ? 1 : window_.kw); ++kx)
      segments.offsets.push_back(ky * window_.dilation_h * row_values() + kx * window_.dilation_w * channels_);
  return segments;
}

void WindowImage::copy_row(const ConstTensor& x, int64_t n, int64_t row, const InputForm& form, uint8_t* to) const {
  const int64_t y = row - window_.pad_top, left = std::clamp<int64_t>(window_.pad_left, 0, reach_w_);
  const int64_t first = std::max<int64_t>(-window_.pad_left, 0);
  const int64_t inside =
      y < 0 || y >= height_ ? 0 : std::clamp<int64_t>(width_ - first, 0, reach_w_ - left);  // columns of the image
  fill_padding(form, left * channels_, to);
  if (inside > 0)
    change_values(x, ((n * height_ + y) * width_ + first) * channels_, inside * channels_, form,
                  to + left * channels_ * form.value_bytes);
  fill_padding(form, (reach_w_ - left - inside) * channels_, to + (left + inside) * channels_ * form.value_bytes);
}

PixelGrid WindowImage::pixels_of(const ConstTensor& x, int64_t n, const InputForm& form, ThreadPool& pool) const {
  const int64_t pixel_bytes = channels_ * form.value_bytes;
  PixelGrid grid{nullptr, window_.stride_h * row_values() * form.value_bytes, window_.stride_w * pixel_bytes};
  if (!has_padding() && !form.changes(x.dtype())) {
    grid.origin = x.data + ((n * height_ - window_.pad_top) * width_ - window_.pad_left) * pixel_bytes;
    return grid;
  }
  // Without padding the rows of the copy are as long as those of the image, but only what windows read is copied.
  const int64_t row_bytes = row_values() * form.value_bytes;
  uint8_t* copy = scratch_bytes(ScratchUse::image, reach_h_ * row_bytes);
  pool.parallel_for(reach_h_, elementwise_grain / (row_values() + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) copy_row(x, n, row, form, copy + row * row_bytes);
  });
  grid.origin = copy;
  return grid;
}

}  // namespace bittrue
