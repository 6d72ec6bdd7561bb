// Reads the output stage and the input stages of a node from its attributes (docs/quantized-graph.md).
#pragma once

#include <string>
#include <vector>

#include "arith/output_stage.h"
#include "engine/op.h"

namespace bittrue {

inline const std::vector<std::string>& rounding_names() {
  static const std::vector<std::string> names = {"half_up", "half_down", "half_away",   "half_even",
                                                 "floor",   "ceil",      "toward_zero", "add_half_trunc"};
  return names;
}

inline Rounding read_rounding(const Attributes& a, const std::string& key, const std::string& otherwise) {
  return a.choice<Rounding>(key, rounding_names(), otherwise);
}

// `prefix` is "" for the output stage and "input_" for the stages of the inputs; parameters must have one entry or
// `channels` entries.
inline Requantizer read_requantizer(const Attributes& a, int64_t channels, const std::string& prefix = "") {
  static const std::vector<std::string> kinds = {"none",         "shift",       "multiplier_shift",
                                                 "double_round", "float_scale", "divide"};
  Requantizer r;
  r.kind = a.choice<Requant>(prefix + "requant", kinds, "none");
  r.rounding = read_rounding(a, prefix + "rounding", "half_up");
  r.high_rounding = read_rounding(a, prefix + "high_rounding", "half_up");
  r.multiplier = a.integers(prefix + "multiplier", {1});
  r.shift = a.integers(prefix + "shift", {0});
  for (double s : a.reals(prefix + "scale", {1.0})) r.scale.push_back(static_cast<float>(s));
  for (size_t n : {r.multiplier.size(), r.shift.size(), r.scale.size()})
    if (n != 1 && static_cast<int64_t>(n) != channels)
      throw DataError(prefix + "requantization parameters: " + std::to_string(n) + " entries, expected 1 or " +
                      std::to_string(channels));
  for (int64_t m : r.multiplier)
    if (m < INT32_MIN || m > INT32_MAX) throw DataError("multiplier " + std::to_string(m) + " is outside int32");
  for (int64_t s : r.shift)
    if (s < -62 || s > 62) throw DataError("shift " + std::to_string(s) + " is outside -62..62");
  return r;
}

inline OutputStage read_output_stage(const NodeSpec& node, int64_t channels) {
  const Attributes& a = node.attributes;
  const DTypeInfo& type = info(node.outputs[0]->dtype);
  OutputStage stage;
  stage.accumulator = a.choice<Accumulator>("acc", {"exact64", "wrap32", "sat32"}, "exact64");
  stage.requant = read_requantizer(a, channels);
  stage.zero_point = a.integer("zero_point", 0);
  if (stage.zero_point < INT32_MIN || stage.zero_point > INT32_MAX) throw DataError("zero_point is outside int32");
  stage.zero_point_before_rounding =
      a.choice<int>("zero_point_order", {"after_rounding", "before_rounding"}, "after_rounding") == 1;
  stage.clamp_min = a.integer("clamp_min", type.min);
  stage.clamp_max = a.integer("clamp_max", type.max);
  if (stage.clamp_min < type.min || stage.clamp_max > type.max || stage.clamp_min > stage.clamp_max)
    throw DataError("clamp range [" + std::to_string(stage.clamp_min) + ", " + std::to_string(stage.clamp_max) +
                    "] does not fit " + type.name);
  return stage;
}

}  // namespace bittrue
