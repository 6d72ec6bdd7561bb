// What the float ops of a device share: their common attributes, guarded blocks, fused relu.
#pragma once

#include <string>
#include <vector>

#include "arith/float_format.h"
#include "engine/op.h"

namespace bittrue {

inline FloatMode read_float_mode(const NodeSpec& node) {
  for (const TensorType* type : node.inputs)
    if (type && type->dtype != DType::float32) throw DataError("a float op needs float32 inputs");
  FloatMode mode;
  mode.flush = node.attributes.integer("flush", 0) != 0;
  mode.format = node.attributes.choice<FloatFormat>("format", {"float32", "float16", "bfloat16"}, "float32");
  return mode;
}

// All elements of a tensor as the op sees them: flushed and rounded to the format.
inline std::vector<float> read_floats(const ConstTensor& t, const FloatMode& mode) {
  std::vector<float> v(t.as<float>(), t.as<float>() + t.elements());
  if (!mode.plain())
    for (float& x : v) x = mode.read(x);
  return v;
}

inline void require_rank(const NodeSpec& node, size_t input, size_t rank) {
  if (!node.has_input(input) || node.inputs[input]->shape.size() != rank)
    throw DataError("input " + std::to_string(input) + " needs " + std::to_string(rank) + " axes");
}

// An optional input that holds one value for each of `entries`.
inline void require_entries(const NodeSpec& node, size_t input, int64_t entries) {
  if (node.has_input(input) && node.inputs[input]->elements() != entries)
    throw DataError("input " + std::to_string(input) + " needs " + std::to_string(entries) + " values");
}

// body(begin, end) over blocks of [0, n), each with the flush mode of the op.
template <class Body>
void guarded_blocks(RunContext& context, int64_t n, int64_t grain, bool flush, const Body& body) {
  context.pool.parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    const FlushGuard guard(flush);
    body(begin, end);
  });
}

// The activation fused into a float op: relu (max(y, 0)), then an upper limit if it is positive.
struct FloatRelu {
  bool relu = false;
  float limit = 0.0f;

  explicit FloatRelu(const NodeSpec& node, bool with_limit = false)
      : relu(node.attributes.integer("relu", 0) != 0),
        limit(with_limit ? static_cast<float>(node.attributes.real("relu_max", 0.0)) : 0.0f) {}

  float apply(float v) const {
    if (relu) v = max_of(v, 0.0f);
    return limit > 0.0f ? min_of(v, limit) : v;
  }
};

}  // namespace bittrue
