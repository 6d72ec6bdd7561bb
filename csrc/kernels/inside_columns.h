// The output columns whose windows do not leave the rows of the image: they need no look at its borders.
#pragma once

#include <algorithm>

#include "ops/window.h"

namespace bittrue {

struct InsideColumns {
  int64_t begin, end;  // empty if end <= begin

  InsideColumns(const Window& window, int64_t width, int64_t output_width) {
    const int64_t stride = window.stride_w, reach = (window.kw - 1) * window.dilation_w + 1;
    begin = std::clamp<int64_t>((window.pad_left + stride - 1) / stride, 0, output_width);
    const int64_t last_start = width + window.pad_left - reach;
    end = last_start < 0 ? 0 : std::min(output_width, last_start / stride + 1);
  }

  // Neighbouring pixels from column `ox` on, up to `limit`, that are all inside; one if it is outside.
  int64_t run(int64_t ox, int64_t limit) const { return ox >= begin && ox < end ? std::min(end, limit) - ox : 1; }
};

}  // namespace bittrue
