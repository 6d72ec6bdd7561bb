// What the vector kernels of Conv2d and MatMul check and prepare alike: whether the words can hold the operands,
// whether the 32-bit sums are exact, and what is added to them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/op.h"
#include "kernels/gemm_i8/word_gemm.h"

namespace bittrue {

struct WordOperands {
  std::vector<int32_t> bias;  // per channel: the bias, less the offset of 8-bit words times the sum of the weights
  int64_t largest = 0;        // magnitude that sum plus bias cannot exceed
};

// Operands of a node with 8-bit data in input 0, constant weights in input 1 and an optional bias in input 2.
// value(channel, k) is a weight less its zero point. nothing if the path cannot run the node exactly.
std::optional<WordOperands> word_operands(const NodeSpec& node, const WordGemm& gemm, int64_t x_zero_point,
                                          int64_t channels, int64_t K,
                                          const std::function<int64_t(int64_t, int64_t)>& value);

}  // namespace bittrue
