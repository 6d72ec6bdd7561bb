// The bytes of one image with its padding written out, so that every tap of every output pixel is a plain address.
#pragma once

#include <cstdint>
#include <cstring>

#include "engine/thread_pool.h"
#include "ops/window.h"

namespace bittrue {

struct PaddedImage {
  int64_t channels = 0, height = 0, width = 0;  // of the input
  int64_t padded_height = 0, padded_width = 0;  // all that the window reaches
  int64_t pad_top = 0, pad_left = 0;

  // Readers may run this far beyond the last byte.
  static constexpr int64_t slack = 64;

  PaddedImage(const Window& window, int64_t C, int64_t H, int64_t W, int64_t OH, int64_t OW)
      : channels(C),
        height(H),
        width(W),
        padded_height((OH - 1) * window.stride_h + (window.kh - 1) * window.dilation_h + 1),
        padded_width((OW - 1) * window.stride_w + (window.kw - 1) * window.dilation_w + 1),
        pad_top(window.pad_top),
        pad_left(window.pad_left) {}

  bool same_as_input() const {
    return pad_top == 0 && pad_left == 0 && padded_height == height && padded_width == width;
  }
  bool has_padding() const {
    return pad_top > 0 || pad_left > 0 || padded_height - pad_top > height || padded_width - pad_left > width;
  }
  int64_t plane() const { return padded_height * padded_width; }
  int64_t bytes() const { return channels * plane() + slack; }

  void fill_channel(const uint8_t* x, uint8_t padding, uint8_t* to) const {
    const int64_t left = pad_left < 0 ? 0 : (pad_left < padded_width ? pad_left : padded_width);
    const int64_t skip = pad_left < 0 ? -pad_left : 0;
    const int64_t room = padded_width - left, have = width - skip;
    const int64_t middle = have < 0 ? 0 : (have < room ? have : room);
    for (int64_t py = 0; py < padded_height; ++py, to += padded_width) {
      const int64_t iy = py - pad_top;
      if (iy < 0 || iy >= height) {
        std::memset(to, padding, static_cast<size_t>(padded_width));
        continue;
      }
      if (left) std::memset(to, padding, static_cast<size_t>(left));
      if (middle) std::memcpy(to + left, x + iy * width + skip, static_cast<size_t>(middle));
      if (room > middle) std::memset(to + left + middle, padding, static_cast<size_t>(room - middle));
    }
  }

  void fill(const uint8_t* x, uint8_t padding, uint8_t* to, ThreadPool& pool) const {
    const int64_t grain = 65536 / (plane() + 1) + 1;
    pool.parallel_for(channels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) fill_channel(x + c * height * width, padding, to + c * plane());
    });
  }
};

}  // namespace bittrue
