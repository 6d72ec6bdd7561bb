// FloatNormalize in binary32, two passes in row-major order with f = fl(1/n):
// mean = fl(sum x * f); d = fl(x - mean); var = fl(sum fl(d*d) * f); r = fl(1 / fl(sqrt(fl(var + epsilon))));
// y = fl(fl(fl(d * r) * scale) + bias). layer: over the axes from `axis` on; instance: over the axes from 2 on, with
// scale and bias per channel.
#pragma once

#include <cmath>
#include <vector>

#include "ops/broadcast.h"
#include "ops/float_mode.h"

namespace bittrue {

class FloatNormalize final : public Op {
 public:
  explicit FloatNormalize(const NodeSpec& node)
      : mode_(read_float_mode(node)),
        instance_(node.attributes.choice<int>("kind", {"layer", "instance"}, "layer") == 1),
        epsilon_(static_cast<float>(node.attributes.real("epsilon", 1e-5))) {
    const Shape& shape = node.inputs[0]->shape;
    const size_t axis = normal_axis(node.attributes.integer("axis", -1), shape.size());
    for (size_t i = 0; i < shape.size(); ++i) (i < (instance_ ? 2 : axis) ? outer_ : length_) *= shape[i];
    channels_ = shape.size() > 1 ? shape[1] : 1;
    if (node.outputs[0]->shape != shape) throw DataError("input and output must have one shape");
    if (!node.has_input(1)) throw DataError("a scale is needed");
    for (size_t input : {1, 2}) require_entries(node, input, instance_ ? channels_ : length_);
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> x = read_floats(in[0], mode_), scale = read_floats(in[1], mode_);
    const bool has_bias = in.size() > 2 && in[2].present();
    const std::vector<float> bias = has_bias ? read_floats(in[2], mode_) : std::vector<float>();
    const float factor = 1.0f / static_cast<float>(length_);
    const float epsilon = mode_.flush ? flush_subnormal(epsilon_) : epsilon_;
    guarded_blocks(context, outer_, 1, mode_.flush, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* row = x.data() + i * length_;
        float sum = 0.0f, squares = 0.0f;
        for (int64_t j = 0; j < length_; ++j) sum = add(sum, row[j]);
        const float mean = mul(sum, factor);
        for (int64_t j = 0; j < length_; ++j) {
          const float d = sub(row[j], mean);
          squares = add(squares, mul(d, d));
        }
        const float r = divide_real(1.0f, std::sqrt(add(mul(squares, factor), epsilon)));
        for (int64_t j = 0; j < length_; ++j) {
          const auto p = static_cast<size_t>(instance_ ? i % channels_ : j);
          const float v = mul(mul(sub(row[j], mean), r), scale[p]);
          out[0].as<float>()[i * length_ + j] = mode_.stored(has_bias ? add(v, bias[p]) : v);
        }
      }
    });
  }

 private:
  FloatMode mode_;
  bool instance_;
  float epsilon_;
  int64_t outer_ = 1, length_ = 1, channels_ = 1;
};

}  // namespace bittrue
