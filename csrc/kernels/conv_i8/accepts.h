// Which convolutions the 8-bit kernels take: constant weights of at most 8 bits and sums that fit 32 bits.
#pragma once

#include <algorithm>

#include "engine/op.h"
#include "kernels/gemm_i8/dot_i16.h"

namespace bittrue {

inline bool conv_i8_accepts(const NodeSpec& node) {
  const TensorType &x = *node.inputs[0], &w = *node.inputs[1];
  const DTypeInfo &tx = info(x.dtype), &tw = info(w.dtype);
  if (tx.bits > 8 || tw.bits > 8 || x.shape.size() != 4 || w.shape.size() != 4 || !node.constant(1).present())
    return false;
  const int64_t largest_x = largest_8bit_difference(tx.min, tx.max, node.attributes.integer("x_zero_point", 0));
  int64_t largest_w = 0;
  for (int64_t z : node.attributes.integers("w_zero_point", {0}))
    largest_w = std::max(largest_w, largest_8bit_difference(tw.min, tw.max, z));
  return fits_int32(w.shape[1] * w.shape[2] * w.shape[3], largest_x, largest_w);
}

}  // namespace bittrue
