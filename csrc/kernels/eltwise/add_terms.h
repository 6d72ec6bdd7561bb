// What an input of Add contributes to the sum, by its byte.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "ops/input_stage.h"

namespace bittrue {

struct AddTerms {
  std::array<int32_t, 256> of_byte;
  int64_t largest = 0;  // magnitude
};

// Nothing if input k does not have 8 bits, or a term not 32.
inline std::optional<AddTerms> add_terms(const NodeSpec& node, const InputStages& stages, size_t k) {
  const DType type = node.inputs[k]->dtype;
  if (!is_8_bit(type)) return std::nullopt;
  const int64_t sign = Requantizer::at(node.attributes.integers("signs", {1}), static_cast<int64_t>(k));
  AddTerms terms;
  for (int code = 0; code < 256; ++code) {
    const int64_t term = stages.apply(type == DType::int8 ? static_cast<int8_t>(code) : code, k);
    if (std::abs(term) > INT32_MAX || std::abs(term * sign) > INT32_MAX) return std::nullopt;
    terms.largest = std::max(terms.largest, std::abs(term * sign));
    terms.of_byte[static_cast<size_t>(code)] = static_cast<int32_t>(term * sign);
  }
  return terms;
}

}  // namespace bittrue
