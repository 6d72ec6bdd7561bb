// SoftmaxTable: e_c = table[clamp(max - x_c, 0, 255)]; s = e_0 + e_1 + .. in binary32, in channel order;
// y_c = clamp(round(e_c / fl(s * output_scale)) + zero_point).
#pragma once

#include <algorithm>

#include "engine/stage_attributes.h"
#include "ops/shapes.h"

namespace bittrue {

class SoftmaxTable final : public Op {
 public:
  explicit SoftmaxTable(const NodeSpec& node)
      : axis_(with_inputs(node, 2).attributes.integer("axis", 1)),
        output_scale_(static_cast<float>(node.attributes.real("output_scale", 1.0))),
        rounding_(read_rounding(node.attributes, "rounding", "half_away")),
        zero_point_(node.attributes.integer("zero_point", 0)),
        clamp_min_(node.attributes.integer("clamp_min", info(node.outputs[0]->dtype).min)),
        clamp_max_(node.attributes.integer("clamp_max", info(node.outputs[0]->dtype).max)) {
    require_same_shape(node);
    require(node.inputs[1]->dtype == DType::float32, "the table must be float32");
    require(clamp_min_ >= info(node.outputs[0]->dtype).min && clamp_max_ <= info(node.outputs[0]->dtype).max,
            "clamp range outside the output type");
    if (node.inputs[1]->elements() != 256) throw DataError("table needs 256 entries");
    if (axis_ < 0 || axis_ >= static_cast<int64_t>(node.inputs[0]->shape.size())) throw DataError("bad axis");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const Shape& shape = in[0].shape();
    const auto axis = static_cast<size_t>(axis_);
    const int64_t C = shape[axis], inner = count(Shape(shape.begin() + axis_ + 1, shape.end()));
    const float* table = in[1].as<float>();
    context.for_blocks(in[0].elements() / (C ? C : 1), 64, [&](int64_t begin, int64_t end, auto&) {
      for (int64_t line = begin; line < end; ++line) {
        const int64_t base = line / inner * C * inner + line % inner;
        int64_t largest = INT64_MIN;
        for (int64_t c = 0; c < C; ++c) largest = std::max(largest, load_int(in[0], base + c * inner));
        const auto entry = [&](int64_t c) { return table[clamp(largest - load_int(in[0], base + c * inner), 0, 255)]; };
        float sum = 0;
        for (int64_t c = 0; c < C; ++c) sum += entry(c);
        const float divisor = sum * output_scale_;
        for (int64_t c = 0; c < C; ++c) {
          const int64_t v = round_real(entry(c) / divisor, rounding_) + zero_point_;
          store_int(out[0], base + c * inner, clamp(v, clamp_min_, clamp_max_));
        }
      }
    });
  }

 private:
  int64_t axis_;
  float output_scale_;
  Rounding rounding_;
  int64_t zero_point_;
  int64_t clamp_min_, clamp_max_;
};

}  // namespace bittrue
