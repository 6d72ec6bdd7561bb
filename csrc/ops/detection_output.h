// DetectionOutput of Caffe-SSD, which chips leave to their host processor. Inputs: predictions (N, P*4) or (N,
// P*classes*4), scores (N, P*classes), priors (1, 2, P*4) with the variances in the second row.
//
// Rows of the output: image, class, score, xmin, ymin, xmax, ymax; by image, then class, then as suppression kept them.
// The rest is -1; without any detection the first N rows start with the number of their image.
#pragma once

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "engine/op.h"
#include "ops/boxes.h"

namespace bittrue {

class DetectionOutput final : public Op {
 public:
  explicit DetectionOutput(const NodeSpec& node)
      : classes_(node.attributes.integer("num_classes")),
        shared_(node.attributes.integer("share_location", 1) != 0),
        background_(node.attributes.integer("background_label", 0)),
        keep_(node.attributes.integer("keep_top_k", -1)),
        encoded_(node.attributes.integer("variance_encoded", 0) != 0),
        code_(node.attributes.choice<Code>("code_type", {"corner", "center_size", "corner_size"}, "corner")),
        suppression_{static_cast<float>(node.attributes.real("confidence_threshold", -3.4028234663852886e38)),
                     node.attributes.integer("nms_top_k", -1),
                     static_cast<float>(node.attributes.real("nms_threshold", 0.3)),
                     static_cast<float>(node.attributes.real("nms_eta", 1.0))} {
    for (size_t i = 0; i < 3; ++i)
      if (!node.has_input(i) || node.inputs[i]->dtype != DType::float32 || node.inputs[i]->shape.empty())
        throw DataError("needs float32 predictions, scores and priors");
    images_ = node.inputs[0]->shape[0];
    priors_ = node.inputs[2]->elements() / 8;
    if (classes_ < 1 || images_ < 1 || priors_ < 1 || node.inputs[2]->elements() != priors_ * 8 ||
        node.inputs[0]->elements() != images_ * priors_ * 4 * (shared_ ? 1 : classes_) ||
        node.inputs[1]->elements() != images_ * priors_ * classes_)
      throw DataError("predictions, scores and priors do not fit each other");
    if (node.outputs[0]->dtype != DType::float32 || node.outputs[0]->shape != Shape{1, 1, images_ * capacity(), 7})
      throw DataError("the output needs the shape (1, 1, " + std::to_string(images_ * capacity()) + ", 7)");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    std::vector<std::vector<Found>> found(static_cast<size_t>(images_ * classes_));
    context.pool.parallel_for(images_ * classes_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (i % classes_ != background_) found[static_cast<size_t>(i)] = detect(in, i / classes_, i % classes_);
    });
    float* row = out[0].as<float>();
    std::fill(row, row + out[0].elements(), -1.0f);
    bool any = false;
    for (int64_t image = 0; image < images_; ++image) {
      std::vector<Found> all;
      for (int64_t c = 0; c < classes_; ++c) {
        const auto& part = found[static_cast<size_t>(image * classes_ + c)];
        all.insert(all.end(), part.begin(), part.end());
      }
      keep_best(all);
      for (const Found& f : all) {
        const float values[7] = {static_cast<float>(image),
                                 static_cast<float>(f.label),
                                 f.score,
                                 f.box.xmin,
                                 f.box.ymin,
                                 f.box.xmax,
                                 f.box.ymax};
        row = std::copy(values, values + 7, row);
        any = true;
      }
    }
    if (!any)
      for (int64_t image = 0; image < images_; ++image) out[0].as<float>()[image * 7] = static_cast<float>(image);
  }

 private:
  enum class Code { corner, center_size, corner_size };
  struct Found {
    int64_t label, index;
    float score;
    Box box;
  };

  // Rows that an image can fill, at least one.
  int64_t capacity() const {
    const int64_t labels = classes_ - (background_ >= 0 && background_ < classes_ ? 1 : 0);
    int64_t rows = labels * (suppression_.limit < 0 ? priors_ : std::min(priors_, suppression_.limit));
    if (keep_ >= 0) rows = std::min(rows, keep_);
    return std::max<int64_t>(rows, 1);
  }

  std::vector<Found> detect(const std::vector<ConstTensor>& in, int64_t image, int64_t label) const {
    const int64_t per_prior = shared_ ? 1 : classes_;
    const auto score = [&](int64_t i) { return in[1].as<float>()[(image * priors_ + i) * classes_ + label]; };
    std::vector<Box> boxes;
    for (int64_t i = 0; i < priors_; ++i) {
      const int64_t at = (image * priors_ + i) * per_prior + (shared_ ? 0 : label);
      boxes.push_back(
          decode(in[0].as<float>() + at * 4, in[2].as<float>() + i * 4, in[2].as<float>() + (priors_ + i) * 4));
    }
    const auto box = [&](int64_t i) -> const Box& { return boxes[static_cast<size_t>(i)]; };
    std::vector<Found> found;
    for (const int64_t i : suppression_.run(priors_, score, box)) found.push_back({label, i, score(i), box(i)});
    return found;
  }

  Box decode(const float* prediction, const float* prior, const float* variance) const {
    float t[4];
    for (int k = 0; k < 4; ++k) t[k] = encoded_ ? prediction[k] : variance[k] * prediction[k];
    const float width = prior[2] - prior[0], height = prior[3] - prior[1];
    if (code_ == Code::corner) return {prior[0] + t[0], prior[1] + t[1], prior[2] + t[2], prior[3] + t[3]};
    if (code_ == Code::corner_size)
      return {prior[0] + t[0] * width, prior[1] + t[1] * height, prior[2] + t[2] * width, prior[3] + t[3] * height};
    const float x = t[0] * width + (prior[0] + prior[2]) / 2.0f, y = t[1] * height + (prior[1] + prior[3]) / 2.0f;
    const float w = exp_of(t[2]) * width / 2.0f, h = exp_of(t[3]) * height / 2.0f;
    return {x - w, y - h, x + w, y + h};
  }

  // exp in double, rounded once.
  static float exp_of(float v) { return static_cast<float>(std::exp(static_cast<double>(v))); }

  // The keep_top_k best of all classes; equal scores by class, then by index. The order by class stays.
  void keep_best(std::vector<Found>& all) const {
    if (keep_ < 0 || static_cast<int64_t>(all.size()) <= keep_) return;
    std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
      return std::tie(b.score, a.label, a.index) < std::tie(a.score, b.label, b.index);
    });
    all.resize(static_cast<size_t>(keep_));
    std::stable_sort(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.label < b.label; });
  }

  int64_t classes_;
  bool shared_;
  int64_t background_, keep_;
  bool encoded_;
  Code code_;
  Suppression suppression_;
  int64_t images_ = 0, priors_ = 0;
};

}  // namespace bittrue
