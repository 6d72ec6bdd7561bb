// Proposal of Faster R-CNN, which chips leave to their host processor. Inputs: scores (1, 2A, H, W), whose second half
// is the foreground; predictions (1, 4A, H, W); image (1, 3 or more): height, width, scale.
//
// Rows of the output (post_nms_top_n, 5): 0, xmin, ymin, xmax, ymax in pixels, the best first; the rest is 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/op.h"
#include "ops/boxes.h"

namespace bittrue {

class Proposal final : public Op {
 public:
  explicit Proposal(const NodeSpec& node)
      : anchors_(node.attributes.reals("anchors", {})),
        stride_(node.attributes.integer("feat_stride", 16)),
        min_size_(static_cast<float>(node.attributes.real("min_size", 16.0))),
        keep_(node.attributes.integer("post_nms_top_n", 300)),
        suppression_{std::numeric_limits<float>::lowest(), node.attributes.integer("pre_nms_top_n", 6000),
                     static_cast<float>(node.attributes.real("nms_threshold", 0.7)), 1.0f} {
    for (size_t i = 0; i < 3; ++i)
      if (!node.has_input(i) || node.inputs[i]->dtype != DType::float32) throw DataError("needs three float32 inputs");
    count_ = static_cast<int64_t>(anchors_.size() / 4);
    const Shape scores = node.inputs[0]->shape, deltas = node.inputs[1]->shape;
    if (scores.size() != 4 || count_ < 1 || anchors_.size() % 4 || scores[0] != 1 || scores[1] != 2 * count_ ||
        deltas != Shape{1, 4 * count_, scores[2], scores[3]} || node.inputs[2]->elements() < 3)
      throw DataError("scores, predictions, image and anchors do not fit each other");
    rows_ = scores[2];
    columns_ = scores[3];
    if (keep_ < 1 || node.outputs[0]->dtype != DType::float32 || node.outputs[0]->shape != Shape{keep_, 5})
      throw DataError("the output needs the shape (" + std::to_string(keep_) + ", 5)");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext&) const override {
    const float* image = in[2].as<float>();
    const int64_t plane = rows_ * columns_;
    std::vector<Box> boxes, reaching;  // reaching: with the last pixel inside
    std::vector<float> scores;
    for (int64_t cell = 0; cell < plane; ++cell)
      for (int64_t a = 0; a < count_; ++a) {
        const Box box = clip(predict(in[1].as<float>() + a * 4 * plane + cell, plane, a, cell), image);
        const float least = min_size_ * image[2];
        const bool large = (box.xmax - box.xmin) + 1.0f >= least && (box.ymax - box.ymin) + 1.0f >= least;
        scores.push_back(large ? in[0].as<float>()[(count_ + a) * plane + cell]
                               : -std::numeric_limits<float>::infinity());
        boxes.push_back(box);
        reaching.push_back({box.xmin, box.ymin, box.xmax + 1.0f, box.ymax + 1.0f});
      }
    std::vector<int64_t> kept = suppression_.run(
        plane * count_, [&](int64_t i) { return scores[static_cast<size_t>(i)]; },
        [&](int64_t i) -> const Box& { return reaching[static_cast<size_t>(i)]; });
    if (static_cast<int64_t>(kept.size()) > keep_) kept.resize(static_cast<size_t>(keep_));
    float* row = out[0].as<float>();
    std::fill(row, row + out[0].elements(), 0.0f);
    for (const int64_t i : kept) {
      const Box& b = boxes[static_cast<size_t>(i)];
      const float values[5] = {0.0f, b.xmin, b.ymin, b.xmax, b.ymax};
      row = std::copy(values, values + 5, row);
    }
  }

 private:
  Box predict(const float* delta, int64_t plane, int64_t anchor, int64_t cell) const {
    const auto corner = [&](int64_t k) {
      const int64_t shift = (k % 2 ? cell / columns_ : cell % columns_) * stride_;
      return static_cast<float>(anchors_[static_cast<size_t>(anchor * 4 + k)]) + static_cast<float>(shift);
    };
    float centre[2], half[2];
    for (int64_t k = 0; k < 2; ++k) {
      const float size = (corner(k + 2) - corner(k)) + 1.0f;
      centre[k] = delta[k * plane] * size + (corner(k) + 0.5f * size);
      const double growth = std::exp(static_cast<double>(delta[(k + 2) * plane]));
      half[k] = 0.5f * (static_cast<float>(growth) * size);
    }
    return {centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]};
  }

  // NaN stays.
  static Box clip(Box box, const float* image) {
    const auto limit = [](float v, float most) {
      v = v > most ? most : v;
      return v < 0.0f ? 0.0f : v;
    };
    const float right = image[1] - 1.0f, bottom = image[0] - 1.0f;
    return {limit(box.xmin, right), limit(box.ymin, bottom), limit(box.xmax, right), limit(box.ymax, bottom)};
  }

  std::vector<double> anchors_;
  int64_t stride_;
  float min_size_;
  int64_t keep_;
  Suppression suppression_;
  int64_t count_ = 0, rows_ = 0, columns_ = 0;
};

}  // namespace bittrue
