// How far the values of a type can be from a zero point.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/tensor.h"

namespace bittrue {

inline int64_t largest_difference(const DTypeInfo& type, int64_t zero_point) {
  return std::max(zero_point - type.min, type.max - zero_point);
}

}  // namespace bittrue
