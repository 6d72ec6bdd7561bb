// Checks of node shapes, made when a node is loaded, so that no loop can leave its tensors.
#pragma once

#include <string>
#include <vector>

#include "engine/op.h"

namespace bittrue {

inline void require(bool condition, const char* what) {
  if (!condition) throw DataError(std::string("shapes do not fit: ") + what);
}

// All of the first `inputs` inputs and the first output are present.
inline void require_inputs(const NodeSpec& node, size_t inputs) {
  for (size_t i = 0; i < inputs; ++i) require(node.has_input(i), "an input is missing");
  require(!node.outputs.empty() && node.outputs[0] != nullptr, "the output is missing");
}

// The output has the shape of the first input.
inline void require_same_shape(const NodeSpec& node) {
  require(node.inputs[0]->shape == node.outputs[0]->shape, "input and output differ");
}

// An optional per-channel input holds exactly one value per channel.
inline void require_per_channel(const NodeSpec& node, size_t input, int64_t channels) {
  if (node.has_input(input)) require(node.inputs[input]->elements() == channels, "one value per channel is needed");
}

// Per-channel attribute: one entry or one per channel.
inline void require_entries(size_t entries, int64_t channels, const char* what) {
  require(entries == 1 || static_cast<int64_t>(entries) == channels, what);
}

// x (N,C,H,W) and y (N',C',H',W') of a window op share the batch.
inline void require_images(const NodeSpec& node) {
  require(node.inputs[0]->shape.size() == 4 && node.outputs[0]->shape.size() == 4, "four dimensions are needed");
  require(node.inputs[0]->shape[0] == node.outputs[0]->shape[0], "batches differ");
}

// Kernel size of a convolution, whose inputs and output are checked first.
inline std::vector<int64_t> kernel_of(const NodeSpec& node) {
  require_inputs(node, 2);
  require_images(node);
  require(node.inputs[1]->shape.size() == 4, "weights need four dimensions");
  return {node.inputs[1]->shape[2], node.inputs[1]->shape[3]};
}

// Attribute `kernel` of a pool, whose input and output are checked first.
inline std::vector<int64_t> pool_kernel_of(const NodeSpec& node) {
  require_inputs(node, 1);
  require_images(node);
  require(node.inputs[0]->shape[1] == node.outputs[0]->shape[1], "channels differ");
  return node.attributes.integers("kernel");
}

// The node itself, once `inputs` inputs and the output are there; for member initializers.
inline const NodeSpec& with_inputs(const NodeSpec& node, size_t inputs) {
  require_inputs(node, inputs);
  return node;
}

}  // namespace bittrue
