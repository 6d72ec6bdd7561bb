// ArgMax: index of the largest element along `axis`; the first one on ties, or the last with select_last_index.
#pragma once

#include "engine/op.h"
#include "ops/axes.h"
#include "ops/shapes.h"

namespace bittrue {

class ArgMax final : public Op {
 public:
  explicit ArgMax(const NodeSpec& node)
      : last_(with_inputs(node, 1).attributes.integer("select_last_index", 0) != 0),
        offsets_(reduction_offsets(node.inputs[0]->shape, {node.attributes.integer("axis")})) {
    node.attributes.integer("keepdims", 1);  // in the shape of the output already
    require(node.outputs[0]->elements() == static_cast<int64_t>(offsets_.kept.size()), "the output has another size");
    require(!offsets_.reduced.empty(), "nothing to reduce");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    if (in[0].dtype() == DType::float32)
      search(in, out, context, [&](int64_t i) { return in[0].as<float>()[i]; });
    else
      search(in, out, context, [&](int64_t i) { return load_int(in[0], i); });
  }

 private:
  template <class Load>
  void search(const std::vector<ConstTensor>&, const std::vector<Tensor>& out, RunContext& context,
              const Load& load) const {
    context.for_blocks(out[0].elements(), 64, [&](int64_t begin, int64_t end, auto&) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t base = offsets_.kept[static_cast<size_t>(i)];
        size_t best = 0;
        for (size_t k = 1; k < offsets_.reduced.size(); ++k) {
          const auto v = load(base + offsets_.reduced[k]), leader = load(base + offsets_.reduced[best]);
          if (v > leader || (last_ && v == leader)) best = k;
        }
        store_int(out[0], i, static_cast<int64_t>(best));
      }
    });
  }

  bool last_;
  ReductionOffsets offsets_;
};

}  // namespace bittrue
