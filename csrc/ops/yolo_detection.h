// YoloDetection: what the heads of YOLOv3 found, which chips leave to their host processor. Inputs: heads
// (N, A*(5+classes), H, W); every anchor box has x, y, width, height, objectness and the classes.
//
// Rows of the output: image, class, score, x, y, width, height (centres and sizes as parts of the image); by image,
// then by falling score, equal scores by class, head, row, column and anchor. The rest is -1.
#pragma once

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "engine/op.h"
#include "ops/boxes.h"

namespace bittrue {

class YoloDetection final : public Op {
 public:
  explicit YoloDetection(const NodeSpec& node)
      : classes_(node.attributes.integer("num_classes")),
        keep_(node.attributes.integer("keep_top_k", 200)),
        scales_(node.attributes.integers("scales")),
        anchors_(node.attributes.reals("anchors", {})),
        suppression_{static_cast<float>(node.attributes.real("confidence_threshold", 0.01)), -1,
                     static_cast<float>(node.attributes.real("nms_threshold", 0.45)), 1.0f} {
    const size_t heads = node.inputs.size();
    per_head_ = static_cast<int64_t>(heads ? anchors_.size() / (2 * heads) : 0);
    if (classes_ < 1 || keep_ < 1 || per_head_ < 1 || scales_.size() != heads ||
        static_cast<int64_t>(anchors_.size()) != per_head_ * 2 * static_cast<int64_t>(heads))
      throw DataError("classes, anchors and scales do not fit the heads");
    for (size_t i = 0; i < heads; ++i) {
      if (!node.has_input(i) || node.inputs[i]->dtype != DType::float32 || node.inputs[i]->shape.size() != 4)
        throw DataError("needs float32 heads (N, A*(5+classes), H, W)");
      shapes_.push_back(node.inputs[i]->shape);
      if (shapes_[i][0] != shapes_[0][0] || shapes_[i][1] != per_head_ * (5 + classes_))
        throw DataError("head " + std::to_string(i) + " has another batch, or other channels than its anchors need");
    }
    if (node.outputs[0]->dtype != DType::float32 || node.outputs[0]->shape != Shape{1, 1, shapes_[0][0] * keep_, 7})
      throw DataError("the output needs the shape (1, 1, " + std::to_string(shapes_[0][0] * keep_) + ", 7)");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t images = shapes_[0][0];
    std::vector<std::vector<Candidate>> candidates;
    for (int64_t image = 0; image < images; ++image) candidates.push_back(read_heads(in, image));
    std::vector<std::vector<Found>> found(static_cast<size_t>(images * classes_));
    context.pool.parallel_for(images * classes_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto& boxes = candidates[static_cast<size_t>(i / classes_)];
        const auto score = [&](int64_t b) {
          return boxes[static_cast<size_t>(b)].scores[static_cast<size_t>(i % classes_)];
        };
        const auto box = [&](int64_t b) -> const Box& { return boxes[static_cast<size_t>(b)].corners; };
        for (const int64_t b : suppression_.run(static_cast<int64_t>(boxes.size()), score, box))
          found[static_cast<size_t>(i)].push_back({score(b), i % classes_, b});
      }
    });
    float* row = out[0].as<float>();
    std::fill(row, row + out[0].elements(), -1.0f);
    for (int64_t image = 0; image < images; ++image) {
      std::vector<Found> all;
      for (int64_t c = 0; c < classes_; ++c) {
        const auto& part = found[static_cast<size_t>(image * classes_ + c)];
        all.insert(all.end(), part.begin(), part.end());
      }
      std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
        return std::tie(b.score, a.label, a.index) < std::tie(a.score, b.label, b.index);
      });
      if (static_cast<int64_t>(all.size()) > keep_) all.resize(static_cast<size_t>(keep_));
      for (const Found& f : all) {
        const Candidate& c = candidates[static_cast<size_t>(image)][static_cast<size_t>(f.index)];
        const float values[7] = {
            static_cast<float>(image), static_cast<float>(f.label), f.score, c.x, c.y, c.width, c.height};
        row = std::copy(values, values + 7, row);
      }
    }
  }

 private:
  struct Candidate {
    float x, y, width, height;
    Box corners;
    std::vector<float> scores;
  };
  struct Found {
    float score;
    int64_t label, index;
  };

  static float sigmoid(float v) { return static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(v)))); }
  static float exp_of(float v) { return static_cast<float>(std::exp(static_cast<double>(v))); }

  std::vector<Candidate> read_heads(const std::vector<ConstTensor>& in, int64_t image) const {
    std::vector<Candidate> all;
    for (size_t head = 0; head < in.size(); ++head) {
      const int64_t rows = shapes_[head][2], columns = shapes_[head][3], plane = rows * columns;
      for (int64_t cell = 0; cell < plane; ++cell)
        for (int64_t a = 0; a < per_head_; ++a) {
          const float* at = in[head].as<float>() + ((image * per_head_ + a) * (5 + classes_)) * plane + cell;
          const auto value = [&](int64_t k) { return at[k * plane]; };
          const auto side = [&](int64_t k, int64_t cells) {
            const size_t anchor = static_cast<size_t>((static_cast<int64_t>(head) * per_head_ + a) * 2 + k - 2);
            return exp_of(value(k)) * static_cast<float>(anchors_[anchor]) / static_cast<float>(cells * scales_[head]);
          };
          Candidate c;
          c.x = (sigmoid(value(0)) + static_cast<float>(cell % columns)) / static_cast<float>(columns);
          c.y = (sigmoid(value(1)) + static_cast<float>(cell / columns)) / static_cast<float>(rows);
          c.width = side(2, columns);
          c.height = side(3, rows);
          c.corners = {c.x - c.width / 2.0f, c.y - c.height / 2.0f, c.x + c.width / 2.0f, c.y + c.height / 2.0f};
          const float object = sigmoid(value(4));
          for (int64_t k = 0; k < classes_; ++k) c.scores.push_back(sigmoid(value(5 + k)) * object);
          all.push_back(std::move(c));
        }
    }
    return all;
  }

  int64_t classes_, keep_;
  std::vector<int64_t> scales_;
  std::vector<double> anchors_;
  Suppression suppression_;
  int64_t per_head_ = 0;
  std::vector<Shape> shapes_;
};

}  // namespace bittrue
