// Iteration over the reduced elements of each output of a reduction.
#pragma once

#include <vector>

#include "engine/op.h"

namespace bittrue {

// Offsets into the input: one per output element (`kept`), and the offsets of the reduced block (`reduced`).
struct ReductionOffsets {
  std::vector<int64_t> kept;
  std::vector<int64_t> reduced;
};

inline ReductionOffsets reduction_offsets(const Shape& shape, const std::vector<int64_t>& axes) {
  ReductionOffsets result{{0}, {0}};
  std::vector<bool> is_reduced(shape.size(), false);
  for (int64_t a : axes) {
    if (a < 0 || a >= static_cast<int64_t>(shape.size())) throw DataError("axis is outside the shape");
    is_reduced[static_cast<size_t>(a)] = true;
  }
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  for (size_t d = 0; d < shape.size(); ++d) {
    std::vector<int64_t>& offsets = is_reduced[d] ? result.reduced : result.kept;
    std::vector<int64_t> next;
    for (int64_t base : offsets)
      for (int64_t i = 0; i < shape[d]; ++i) next.push_back(base + i * strides[d]);
    offsets = next;
  }
  return result;
}

}  // namespace bittrue
