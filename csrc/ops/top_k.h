// TopK along one axis: values and indices in order of the value, equal values by index; NaN counts as the largest.
// The shape of the outputs gives k; sorted = 0 leaves the order to the device, here it stays by value.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "ops/broadcast.h"
#include "ops/float_mode.h"

namespace bittrue {

class TopK final : public Op {
 public:
  explicit TopK(const NodeSpec& node)
      : mode_(read_float_mode(node)),
        view_(node.inputs[0]->shape, node.attributes.integer("axis", -1)),
        kept_(node.outputs[0]->shape, node.attributes.integer("axis", -1)),
        largest_(node.attributes.integer("largest", 1) != 0) {
    node.attributes.integer("sorted", 1);
    if (kept_.outer != view_.outer || kept_.inner != view_.inner) throw DataError("the output does not fit the input");
    if (kept_.length > view_.length) throw DataError("more elements wanted than the axis has");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> x = read_floats(in[0], mode_);
    context.pool.parallel_for(view_.outer * view_.inner, 16, [&](int64_t begin, int64_t end) {
      std::vector<int64_t> order(static_cast<size_t>(view_.length));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t o = i / view_.inner, in_row = i % view_.inner;
        const auto value = [&](int64_t c) {
          return x[static_cast<size_t>((o * view_.length + c) * view_.inner + in_row)];
        };
        std::iota(order.begin(), order.end(), int64_t(0));
        std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
          return largest_ ? below(value(b), value(a)) : below(value(a), value(b));
        });
        for (int64_t c = 0; c < kept_.length; ++c) {
          const int64_t to = (o * kept_.length + c) * view_.inner + in_row;
          out[0].as<float>()[to] = value(order[static_cast<size_t>(c)]);
          if (out.size() > 1) store_int(out[1], to, order[static_cast<size_t>(c)]);
        }
      }
    });
  }

 private:
  static bool below(float a, float b) { return a < b || (a == a && b != b); }

  FloatMode mode_;
  AxisView view_, kept_;
  bool largest_;
};

}  // namespace bittrue
