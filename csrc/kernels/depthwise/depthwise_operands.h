// What the vector kernels of depthwise convolution need of a node.
#pragma once

#include <optional>

#include "kernels/gemm_i8/node_operands.h"

namespace bittrue {

struct DepthwiseOperands {
  int64_t channels, zero_point;
  NodeWeights weights;  // [channel][tap]
  NodeSums sums;
};

// Nothing if the node is no depthwise convolution with one output channel an input channel, constant weights, an input
// of 8 bits whose zero point is one of its values, and sums that are exact in 32 bits.
inline std::optional<DepthwiseOperands> depthwise_operands(const NodeSpec& node) {
  const ConstTensor w = node.constant(1);
  if (!w.present() || w.elements() == 0 || node.outputs[0]->elements() == 0) return std::nullopt;
  const int64_t C = w.dim(0), taps = w.dim(2) * w.dim(3), zero_point = node.attributes.integer("x_zero_point", 0);
  if (w.dim(1) != 1 || node.inputs[0]->shape[1] != C || node.attributes.integer("group", 1) != C) return std::nullopt;
  const DTypeInfo& type = info(node.inputs[0]->dtype);
  if (type.bits != 8 || zero_point < type.min || zero_point > type.max) return std::nullopt;
  auto weights = node_weights(w, node.attributes.integers("w_zero_point", {0}), steps(C, taps), steps(taps, 1));
  if (!weights) return std::nullopt;
  auto sums = node_sums(node, *weights, zero_point);
  if (!sums) return std::nullopt;
  return DepthwiseOperands{C, zero_point, std::move(*weights), std::move(*sums)};
}

}  // namespace bittrue
