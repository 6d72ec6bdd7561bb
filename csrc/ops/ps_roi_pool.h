// PsRoiPool of R-FCN: bin (i, j) of result channel c is the mean of the bin in channel (c * group + i) * group + j; 0
// where a bin is empty. Sums run in row-major order.
#pragma once

#include <vector>

#include "ops/rois.h"

namespace bittrue {

class PsRoiPool final : public Op {
 public:
  explicit PsRoiPool(const NodeSpec& node)
      : in_(node),
        group_(node.attributes.integer("group_size")),
        channels_(node.attributes.integer("output_dim")),
        scale_(static_cast<float>(node.attributes.real("spatial_scale", 1.0))) {
    if (group_ < 1 || channels_ * group_ * group_ != in_.channels)
      throw DataError("the features need output_dim * group_size^2 channels");
    in_.check_output(node, channels_, group_, group_);
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext&) const override {
    float* y = out[0].as<float>();
    for (int64_t r = 0; r < in_.regions; ++r) {
      const float* roi = in[1].as<float>() + r * 5;
      const float* x = in[0].as<float>() + in_.image_of(roi) * in_.channels * in_.height * in_.width;
      const Axis rows(roi[2], roi[4], scale_, group_, in_.height), columns(roi[1], roi[3], scale_, group_, in_.width);
      for (int64_t c = 0; c < channels_; ++c)
        for (int64_t i = 0; i < group_; ++i)
          for (int64_t j = 0; j < group_; ++j) {
            const float* plane = x + ((c * group_ + i) * group_ + j) * in_.height * in_.width;
            float sum = 0.0f;
            for (int64_t h = rows.begin(i); h < rows.end(i); ++h)
              for (int64_t w = columns.begin(j); w < columns.end(j); ++w) sum += plane[h * in_.width + w];
            const int64_t area = std::max<int64_t>(rows.end(i) - rows.begin(i), 0) *
                                 std::max<int64_t>(columns.end(j) - columns.begin(j), 0);
            *y++ = area ? sum / static_cast<float>(area) : 0.0f;
          }
    }
  }

 private:
  // The bins of a region along one axis.
  struct Axis {
    float start, bin;
    int64_t length;

    Axis(float low, float high, float scale, int64_t bins, int64_t elements)
        : start(std::round(low) * scale),
          bin(std::max((std::round(high) + 1.0f) * scale - start, 0.1f) / static_cast<float>(bins)),
          length(elements) {}
    int64_t begin(int64_t i) const { return limited(std::floor(static_cast<float>(i) * bin + start), length); }
    int64_t end(int64_t i) const { return limited(std::ceil(static_cast<float>(i + 1) * bin + start), length); }
  };

  RoiInputs in_;
  int64_t group_, channels_;
  float scale_;
};

}  // namespace bittrue
