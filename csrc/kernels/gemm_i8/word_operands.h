// What the vector kernels of Conv2d and MatMul check and prepare alike: whether the words can hold the operands,
// whether the 32-bit sums are exact, and what is added to them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

#include "arith/saturate.h"
#include "engine/op.h"
#include "kernels/gemm_i8/dot_i16.h"
#include "kernels/gemm_i8/word_gemm.h"
#include "kernels/stage/vector_stage.h"

namespace bittrue {

struct WordOperands {
  std::vector<int32_t> bias;  // per channel: the bias, less the offset of 8-bit words times the sum of the weights
  int64_t largest = 0;        // magnitude that sum plus bias cannot exceed
};

// Operands of a node with 8-bit data in input 0, constant weights in input 1 and an optional bias in input 2.
// value(channel, k) is a weight less its zero point. Nothing if the path cannot run the node exactly.
template <class Value>
std::optional<WordOperands> word_operands(const NodeSpec& node, const WordGemm& gemm, int64_t x_zero_point,
                                          int64_t channels, int64_t K, const Value& value) {
  const DTypeInfo& type = info(node.inputs[0]->dtype);
  if (type.bits != 8 || !VectorStage::writes(node.outputs[0]->dtype)) return std::nullopt;
  if (std::abs(x_zero_point) > INT16_MAX / 2) return std::nullopt;
  if (node.has_input(2) && !node.constant(2).present()) return std::nullopt;
  const bool bytes = !gemm.subtracts_zero_point();
  const int64_t weight_limit = bytes ? INT8_MAX : INT16_MAX;
  const int64_t offset = bytes ? x_zero_point + (type.min < 0 ? 128 : 0) : 0;
  const int64_t largest_x = largest_8bit_difference(type.min, type.max, x_zero_point);
  const bool wraps = node.attributes.text("acc", "exact64") == "wrap32";
  WordOperands operands;
  for (int64_t c = 0; c < channels; ++c) {
    int64_t sum = 0, magnitude = 0;
    for (int64_t k = 0; k < K; ++k) {
      const int64_t w = value(c, k);
      if (w < -weight_limit - 1 || w > weight_limit) return std::nullopt;
      sum += w;
      magnitude += std::abs(w);
    }
    const int64_t bias = node.has_input(2) ? load_int(node.constant(2), c) : 0;
    if (bias < INT32_MIN || bias > INT32_MAX) return std::nullopt;
    operands.largest = std::max(operands.largest, magnitude * largest_x + std::abs(bias));
    operands.bias.push_back(static_cast<int32_t>(wrap(bias - offset * sum, 32)));
  }
  if (operands.largest > INT32_MAX && !wraps) return std::nullopt;
  return operands;
}

}  // namespace bittrue
