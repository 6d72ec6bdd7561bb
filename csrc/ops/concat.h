// Concat along one axis. Integers that need it are requantized first: p_i of the input stage
// (docs/quantized-graph.md), plus zero point, clamped.
#pragma once

#include <cstring>
#include <vector>

#include "engine/stage_attributes.h"
#include "ops/broadcast.h"

namespace bittrue {

class Concat final : public Op {
 public:
  explicit Concat(const NodeSpec& node)
      : view_(node.outputs[0]->shape, node.attributes.integer("axis", 1)),
        requantizer_(read_requantizer(node.attributes, static_cast<int64_t>(node.inputs.size()), "input_")),
        input_zero_point_(node.attributes.integer_list("input_zero_point", {0})),
        left_shift_(node.attributes.integer("left_shift", 0)),
        zero_point_(node.attributes.integer("zero_point", 0)) {
    const Attributes& a = node.attributes;
    const DTypeInfo& type = info(node.outputs[0]->dtype);
    clamp_min_ = a.integer("clamp_min", type.min);
    clamp_max_ = a.integer("clamp_max", type.max);
    if (input_zero_point_.size() != 1 && input_zero_point_.size() != node.inputs.size())
      throw DataError("input_zero_point: one entry or one per input");
    requantizes_ = requantizes(a);
    int64_t length = 0;
    for (const TensorType* type_in : node.inputs) {
      const AxisView part(type_in->shape, a.integer("axis", 1));
      if (part.outer != view_.outer || part.inner != view_.inner) throw DataError("the inputs do not fit together");
      length += part.length;
      if (!requantizes_ && type_in->dtype != node.outputs[0]->dtype) throw DataError("inputs of several types");
    }
    if (length != view_.length) throw DataError("the output is not as long as the inputs");
  }

  // Whether the inputs are requantized, not copied.
  static bool requantizes(const Attributes& a) {
    for (const char* key : {"input_requant", "input_zero_point", "left_shift", "zero_point", "clamp_min", "clamp_max"})
      if (a.has(key)) return true;
    return false;
  }

  std::optional<ValueRange> moved_range(const std::vector<ValueRange>& in) const override {
    if (requantizes_) return std::nullopt;
    ValueRange all = in[0];
    for (const ValueRange& range : in) all = hull(all, range);
    return all;
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    int64_t first = 0;
    for (size_t k = 0; k < in.size(); ++k) {
      const int64_t run = in[k].elements() / view_.outer;  // elements of this input in a row
      const int64_t pitch = view_.length * view_.inner;
      if (requantizes_) {
        context.for_blocks(view_.outer * run, elementwise_grain, [&](int64_t begin, int64_t end, auto& tally) {
          for (int64_t i = begin; i < end; ++i)
            store_int(out[0], i / run * pitch + first + i % run, scaled(in[k], i, k, tally));
        });
      } else {
        const int64_t bytes = element_bytes(out[0].dtype());
        for (int64_t o = 0; o < view_.outer && run > 0; ++o)
          std::memcpy(out[0].data + (o * pitch + first) * bytes, in[k].data + o * run * bytes,
                      static_cast<size_t>(run * bytes));
      }
      first += run;
    }
  }

 private:
  template <class Counting>
  int64_t scaled(const ConstTensor& x, int64_t i, size_t input, Counting& tally) const {
    const auto index = static_cast<int64_t>(input);
    const int64_t centered = load_int(x, i) - Requantizer::at(input_zero_point_, index);
    const int64_t v = requantizer_.apply(centered * (int64_t(1) << left_shift_), index) + zero_point_;
    tally.value(v, clamp_min_, clamp_max_);
    return clamp(v, clamp_min_, clamp_max_);
  }

  AxisView view_;
  Requantizer requantizer_;
  std::vector<int64_t> input_zero_point_;
  int64_t left_shift_, zero_point_;
  int64_t clamp_min_ = 0, clamp_max_ = 0;
  bool requantizes_ = false;
};

}  // namespace bittrue
