// FloatReduce: binary32, one accumulator over the reduced elements in row-major order. mean: fl(sum * fl(1/n)).
#pragma once

#include <cmath>
#include <vector>

#include "ops/broadcast.h"
#include "ops/float_mode.h"

namespace bittrue {

class FloatReduce final : public Op {
 public:
  explicit FloatReduce(const NodeSpec& node)
      : mode_(read_float_mode(node)),
        kind_(node.attributes.choice<Kind>("kind", {"sum", "mean", "max", "min", "sum_square", "l1", "l2", "prod"},
                                           "sum")) {
    node.attributes.integer("keepdims", 1);  // the shape of the output says it
    const Shape& shape = node.inputs[0]->shape;
    std::vector<int64_t> axes = node.attributes.integers("axes", {});
    std::vector<bool> reduced(shape.size(), axes.empty());
    for (int64_t a : axes) reduced[normal_axis(a, shape.size())] = true;
    const std::vector<int64_t> strides = dense_strides(shape);
    starts_ = {0};
    steps_ = {0};
    for (size_t i = 0; i < shape.size(); ++i) {
      std::vector<int64_t>& offsets = reduced[i] ? steps_ : starts_;
      std::vector<int64_t> next;
      for (int64_t o : offsets)
        for (int64_t j = 0; j < shape[i]; ++j) next.push_back(o + j * strides[i]);
      offsets = next;
    }
    if (node.outputs[0]->elements() != static_cast<int64_t>(starts_.size()) || steps_.empty())
      throw DataError("the output does not fit the reduced axes");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> x = read_floats(in[0], mode_);
    const float factor = 1.0f / static_cast<float>(steps_.size());
    guarded_blocks(context, static_cast<int64_t>(starts_.size()), 16, mode_.flush, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* first = x.data() + starts_[static_cast<size_t>(i)];
        float v = kind_ == Kind::prod ? 1.0f : (kind_ == Kind::max || kind_ == Kind::min ? first[0] : 0.0f);
        for (int64_t step : steps_) v = combine(v, first[step]);
        if (kind_ == Kind::mean) v = mul(v, factor);
        if (kind_ == Kind::l2) v = std::sqrt(v);
        out[0].as<float>()[i] = mode_.stored(v);
      }
    });
  }

 private:
  enum class Kind : uint8_t { sum, mean, max, min, sum_square, l1, l2, prod };

  float combine(float v, float x) const {
    switch (kind_) {
      case Kind::sum:
      case Kind::mean:
        return add(v, x);
      case Kind::max:
        return max_of(v, x);
      case Kind::min:
        return min_of(v, x);
      case Kind::sum_square:
      case Kind::l2:
        return add(v, mul(x, x));
      case Kind::l1:
        return add(v, std::fabs(x));
      case Kind::prod:
        return mul(v, x);
    }
    return v;
  }

  FloatMode mode_;
  Kind kind_;
  std::vector<int64_t> starts_;  // offset of the first element of every output
  std::vector<int64_t> steps_;   // offsets of the reduced elements from there
};

}  // namespace bittrue
