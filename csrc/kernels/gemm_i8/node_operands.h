// What the vector kernels need of a node with constant weights: the weights in the order in which they are multiplied,
// and how large the sums become.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/op.h"

namespace bittrue {

// The weights of a node less their zero points, [channel][k].
struct NodeWeights {
  std::vector<int16_t> values;
  int64_t channels = 0;
  int64_t largest = 0;  // magnitude
  bool fit_bytes = true;
};

// Weight (channel, k) is element starts[channel] + order[k] of `w`, less the zero point of the channel. Nothing if one
// does not fit 16 bits.
std::optional<NodeWeights> node_weights(const ConstTensor& w, const std::vector<int64_t>& zero_points,
                                        const std::vector<int64_t>& starts, const std::vector<int64_t>& order);

// The places 0, step, 2 * step, ..
std::vector<int64_t> steps(int64_t count, int64_t step);

// The sums of a node, per channel: its bias, and the sum of its weights.
struct NodeSums {
  std::vector<int64_t> bias, weights;
  int64_t largest_products = 0;  // magnitude that the sum of all products cannot exceed
  int64_t largest = 0;           // the same with the bias added
};

// Nothing if the vector kernels cannot run the node exactly: input 0 must be int8, uint8 or int16, the bias in input 2
// constant, and the sums exact in 32 bits, unless the accumulator wraps. `zero_point` is the one of input 0.
std::optional<NodeSums> node_sums(const NodeSpec& node, const NodeWeights& weights, int64_t zero_point);

}  // namespace bittrue
