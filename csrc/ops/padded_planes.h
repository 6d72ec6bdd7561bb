// Input planes with their padding (and zeros between elements, for transposed convolution) written out, so that a
// window never leaves the plane and a row of outputs reads contiguous floats.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/op.h"
#include "ops/window.h"

namespace bittrue {

// Columns are stored by phase of the horizontal stride: column c of a row is at (c % stride) * pitch + c / stride, so
// outputs ox = 0, 1, .. of one tap read neighbours.
class PaddedPlanes {
 public:
  // `window` says where the planes are read; `insert_h`, `insert_w` - 1 zeros lie between input elements; `outside` is
  // the value of everything that is not an input element.
  PaddedPlanes(const Window& window, int64_t OH, int64_t OW, int64_t insert_h, int64_t insert_w, float outside)
      : window_(window), insert_h_(insert_h), insert_w_(insert_w), outside_(outside) {
    height_ = (OH - 1) * window.stride_h + (window.kh - 1) * window.dilation_h + 1;
    const int64_t width = (OW - 1) * window.stride_w + (window.kw - 1) * window.dilation_w + 1;
    pitch_ = (width + window.stride_w - 1) / window.stride_w;
  }

  int64_t plane_size() const { return height_ * pitch_ * window_.stride_w; }

  // Writes one H x W plane into `plane` (plane_size() floats).
  void fill(const float* x, int64_t H, int64_t W, float* plane) const {
    std::fill(plane, plane + plane_size(), outside_);
    const int64_t width = pitch_ * window_.stride_w;
    for (int64_t iy = 0; iy < H; ++iy) {
      const int64_t py = iy * insert_h_ + window_.pad_top;
      if (py < 0 || py >= height_) continue;
      float* row = plane + py * width;
      const float* from = x + iy * W;
      const int64_t first = std::max<int64_t>(0, (-window_.pad_left + insert_w_ - 1) / insert_w_);
      const int64_t end = std::clamp<int64_t>((width - window_.pad_left + insert_w_ - 1) / insert_w_, 0, W);
      const int64_t start = first * insert_w_ + window_.pad_left;
      int64_t phase = start % window_.stride_w, column = start / window_.stride_w;
      const int64_t phase_step = insert_w_ % window_.stride_w, column_step = insert_w_ / window_.stride_w;
      if (insert_w_ == 1 && window_.stride_w == 1) {
        if (first < end) std::copy(from + first, from + end, row + start);
        continue;
      }
      for (int64_t ix = first; ix < end; ++ix) {
        row[phase * pitch_ + column] = from[ix];
        phase += phase_step;
        column += column_step;
        if (phase < window_.stride_w) continue;
        phase -= window_.stride_w;
        ++column;
      }
    }
  }

  // Where tap (ky, kx) of outputs (oy, 0), (oy, 1), .. lies in a plane.
  int64_t row(int64_t oy, int64_t ky, int64_t kx) const {
    const int64_t py = oy * window_.stride_h + ky * window_.dilation_h;
    const int64_t px = kx * window_.dilation_w;
    return (py * window_.stride_w + px % window_.stride_w) * pitch_ + px / window_.stride_w;
  }

 private:
  Window window_;
  int64_t insert_h_, insert_w_;
  float outside_;
  int64_t height_ = 0;
  int64_t pitch_ = 0;
};

}  // namespace bittrue
