// Where the values under the window of every output pixel lie in an NHWC image.
#pragma once

#include <cstdint>

#include "engine/thread_pool.h"
#include "kernels/gemm_i8/product.h"
#include "ops/window.h"

namespace bittrue {

// Addresses of the top left value of the window of each output pixel.
struct PixelGrid {
  const uint8_t* origin;
  int64_t row_stride, pixel_stride;  // bytes between output pixels

  const uint8_t* at(int64_t oy, int64_t ox) const { return origin + oy * row_stride + ox * pixel_stride; }
};

class WindowImage {
 public:
  WindowImage(const Window& window, const Shape& x, const Shape& y);

  // Whether a window reaches beyond the image.
  bool has_padding() const;
  // The runs of values of a pixel of the first group.
  PixelSegments segments(int64_t groups) const;
  int64_t group_bytes(int64_t groups, const InputForm& form) const { return channels_ / groups * form.value_bytes; }
  // New bytes that a pixel reads, where it does not share them with the pixels before.
  int64_t bytes_per_pixel(const InputForm& form) const {
    return window_.kh * window_.stride_w * channels_ * form.value_bytes;
  }

  // The pixels of image n of x: in place, or in a copy of the calling thread that is valid until its next.
  PixelGrid pixels_of(const ConstTensor& x, int64_t n, const InputForm& form, ThreadPool& pool) const;

 private:
  // Values between the rows of the image that windows read.
  int64_t row_values() const { return (has_padding() ? reach_w_ : width_) * channels_; }
  void copy_row(const ConstTensor& x, int64_t n, int64_t row, const InputForm& form, uint8_t* to) const;

  Window window_;
  int64_t channels_, height_, width_;
  int64_t reach_h_, reach_w_;  // rows and columns from the first that a window reads to the last
};

}  // namespace bittrue
