// Regions of interest (R, 5): image, xmin, ymin, xmax, ymax.
#pragma once

#include <algorithm>
#include <cmath>

#include "engine/op.h"

namespace bittrue {

// Features (N, C, H, W) and regions, checked.
struct RoiInputs {
  int64_t images, channels, height, width, regions;

  explicit RoiInputs(const NodeSpec& node) {
    for (size_t i = 0; i < 2; ++i)
      if (!node.has_input(i) || node.inputs[i]->dtype != DType::float32) throw DataError("needs float32 inputs");
    const Shape &x = node.inputs[0]->shape, &rois = node.inputs[1]->shape;
    if (x.size() != 4 || rois.size() != 2 || rois[1] != 5)
      throw DataError("needs features (N, C, H, W), regions (R, 5)");
    images = x[0], channels = x[1], height = x[2], width = x[3], regions = rois[0];
  }

  void check_output(const NodeSpec& node, int64_t out_channels, int64_t rows, int64_t columns) const {
    if (node.outputs[0]->dtype != DType::float32 || rows < 1 || columns < 1 ||
        node.outputs[0]->shape != Shape{regions, out_channels, rows, columns})
      throw DataError("the output does not fit regions, channels and pooled size");
  }

  int64_t image_of(const float* roi) const {
    if (!(roi[0] >= 0.0f && roi[0] < static_cast<float>(images)))
      throw DataError("a region names an image that is not there");
    return static_cast<int64_t>(roi[0]);
  }
};

// A float as an index in [0, most]; NaN counts as 0.
inline int64_t limited(float v, int64_t most) {
  if (!(v > 0.0f)) return 0;
  return v >= static_cast<float>(most) ? most : static_cast<int64_t>(v);
}

}  // namespace bittrue
