// RoiMaxPool of Fast R-CNN (Caffe's ROIPooling, ONNX's MaxRoiPool): the largest element of every bin of a region; 0
// where a bin is empty.
#pragma once

#include <limits>
#include <vector>

#include "ops/rois.h"

namespace bittrue {

class RoiMaxPool final : public Op {
 public:
  explicit RoiMaxPool(const NodeSpec& node)
      : in_(node),
        pooled_(node.attributes.integers("pooled")),
        scale_(static_cast<float>(node.attributes.real("spatial_scale", 1.0))) {
    if (pooled_.size() != 2) throw DataError("attribute 'pooled' needs two entries");
    in_.check_output(node, in_.channels, pooled_[0], pooled_[1]);
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext&) const override {
    float* y = out[0].as<float>();
    for (int64_t r = 0; r < in_.regions; ++r) {
      const float* roi = in[1].as<float>() + r * 5;
      const float* x = in[0].as<float>() + in_.image_of(roi) * in_.channels * in_.height * in_.width;
      const Axis rows(roi[2], roi[4], scale_, pooled_[0], in_.height),
          columns(roi[1], roi[3], scale_, pooled_[1], in_.width);
      for (int64_t c = 0; c < in_.channels; ++c)
        for (int64_t i = 0; i < pooled_[0]; ++i)
          for (int64_t j = 0; j < pooled_[1]; ++j) {
            const bool empty = rows.end(i) <= rows.begin(i) || columns.end(j) <= columns.begin(j);
            float most = empty ? 0.0f : std::numeric_limits<float>::lowest();
            for (int64_t h = rows.begin(i); h < rows.end(i); ++h)
              for (int64_t w = columns.begin(j); w < columns.end(j); ++w) {
                const float v = x[(c * in_.height + h) * in_.width + w];
                if (v > most) most = v;
              }
            *y++ = most;
          }
    }
  }

 private:
  // The bins of a region along one axis.
  struct Axis {
    float start, bin;
    int64_t length;

    Axis(float low, float high, float scale, int64_t bins, int64_t elements)
        : start(std::round(low * scale)),
          bin(std::max(std::round(high * scale) - start + 1.0f, 1.0f) / static_cast<float>(bins)),
          length(elements) {}
    int64_t begin(int64_t i) const { return limited(std::floor(static_cast<float>(i) * bin) + start, length); }
    int64_t end(int64_t i) const { return limited(std::ceil(static_cast<float>(i + 1) * bin) + start, length); }
  };

  RoiInputs in_;
  std::vector<int64_t> pooled_;
  float scale_;
};

}  // namespace bittrue
