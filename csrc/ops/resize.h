// Resize of the last two axes. Coordinates in binary32, step by step: i' = (i + 0.5) / scale - 0.5 (half_pixel; 0 for
// pytorch_half_pixel of an output of length 1), i / scale (asymmetric), i * (in - 1) / (out - 1) (align_corners).
// nearest: the coordinate rounded and limited to the input. linear: the coordinate limited to the input, two fl
// interpolations along the row, then one along the column: fl(fl(a * fl(1 - d)) + fl(b * d)).
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/op.h"
#include "ops/broadcast.h"

namespace bittrue {

class Resize final : public Op {
 public:
  explicit Resize(const NodeSpec& node)
      : linear_(node.attributes.choice<int>("mode", {"nearest", "linear"}, "nearest") == 1),
        coordinate_(node.attributes.choice<Coordinate>(
            "coordinate", {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"}, "half_pixel")),
        nearest_(node.attributes.choice<Nearest>(
            "nearest", {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}, "round_prefer_floor")) {
    const Shape &in = node.inputs[0]->shape, &out = node.outputs[0]->shape;
    if (in.size() < 2 || out.size() != in.size()) throw DataError("two axes or more are needed");
    if (linear_ && node.inputs[0]->dtype != DType::float32) throw DataError("linear needs float32");
    for (size_t axis = 0; axis + 2 < in.size(); ++axis)
      if (in[axis] != out[axis]) throw DataError("only the last two axes may change");
    std::vector<double> scales;
    for (size_t axis = in.size() - 2; axis < in.size(); ++axis)
      scales.push_back(static_cast<double>(out[axis]) / static_cast<double>(in[axis]));
    scales = node.attributes.reals("scales", scales);
    if (scales.size() != 2) throw DataError("two scales are needed");
    for (size_t k = 0; k < 2; ++k) {
      const size_t axis = in.size() - 2 + k;
      for (int64_t i = 0; i < out[axis]; ++i)
        source_[k].push_back(coordinate(i, in[axis], out[axis], static_cast<float>(scales[k])));
    }
    const std::vector<int64_t> strides = dense_strides(in);
    for (size_t axis = 0; axis < in.size(); ++axis) {
      std::vector<int64_t> offsets;
      for (int64_t i = 0; i < out[axis]; ++i)
        offsets.push_back(
            strides[axis] *
            (axis + 2 < in.size() ? i : nearest(source_[axis + 2 - in.size()][static_cast<size_t>(i)], in[axis])));
      offsets_.push_back(offsets);
    }
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>& in) const override { return in[0]; }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    if (!linear_) return copy_mapped(in[0], out[0], offsets_);
    const size_t rank = in[0].shape().size();
    const int64_t H = in[0].dim(rank - 2), W = in[0].dim(rank - 1);
    const std::vector<Sample> rows = samples(source_[0], H), columns = samples(source_[1], W);
    const auto OH = static_cast<int64_t>(rows.size()), OW = static_cast<int64_t>(columns.size());
    const int64_t planes = OH > 0 ? out[0].elements() / (OH * std::max<int64_t>(OW, 1)) : 0;
    context.pool.parallel_for(planes * OH, 16, [&](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) {
        const Sample& v = rows[static_cast<size_t>(line % OH)];
        const float* upper = in[0].as<float>() + (line / OH * H + v.first) * W;
        const float* lower = in[0].as<float>() + (line / OH * H + v.second) * W;
        float* y = out[0].as<float>() + line * OW;
        for (int64_t ox = 0; ox < OW; ++ox) {
          const Sample& h = columns[static_cast<size_t>(ox)];
          y[ox] = v.mix(h.mix(upper[h.first], upper[h.second]), h.mix(lower[h.first], lower[h.second]));
        }
      }
    });
  }

 private:
  enum class Coordinate : uint8_t { half_pixel, pytorch_half_pixel, asymmetric, align_corners };
  enum class Nearest : uint8_t { round_prefer_floor, round_prefer_ceil, floor, ceil };

  struct Sample {
    int64_t first, second;
    float fraction;
    float mix(float a, float b) const { return a * (1.0f - fraction) + b * fraction; }
  };

  float coordinate(int64_t i, int64_t in, int64_t out, float scale) const {
    const auto x = static_cast<float>(i);
    switch (coordinate_) {
      case Coordinate::pytorch_half_pixel:
        if (out <= 1) return 0.0f;
        return (x + 0.5f) / scale - 0.5f;
      case Coordinate::half_pixel:
        return (x + 0.5f) / scale - 0.5f;
      case Coordinate::asymmetric:
        return x / scale;
      case Coordinate::align_corners:
        return out <= 1 ? 0.0f : static_cast<float>(i * (in - 1)) / static_cast<float>(out - 1);
    }
    return x;
  }

  int64_t nearest(float x, int64_t in) const {
    float rounded = x;
    switch (nearest_) {
      case Nearest::round_prefer_floor:
        rounded = std::ceil(x - 0.5f);
        break;
      case Nearest::round_prefer_ceil:
        rounded = std::floor(x + 0.5f);
        break;
      case Nearest::floor:
        rounded = std::floor(x);
        break;
      case Nearest::ceil:
        rounded = std::ceil(x);
        break;
    }
    return std::clamp<int64_t>(static_cast<int64_t>(rounded), 0, in - 1);
  }

  static std::vector<Sample> samples(const std::vector<float>& source, int64_t in) {
    std::vector<Sample> result;
    for (float x : source) {
      const float limited = std::min(std::max(x, 0.0f), static_cast<float>(in - 1));
      const auto first = static_cast<int64_t>(limited);
      result.push_back({first, std::min(first + 1, in - 1), limited - static_cast<float>(first)});
    }
    return result;
  }

  bool linear_;
  Coordinate coordinate_;
  Nearest nearest_;
  std::vector<float> source_[2];
  AxisOffsets offsets_;
};

}  // namespace bittrue
