#include "kernels/gemm_i8/node_operands.h"

#include <algorithm>
#include <cstdlib>

#include "arith/output_stage.h"
#include "kernels/stage/vector_stage.h"

namespace bittrue {

std::vector<int64_t> steps(int64_t count, int64_t step) {
  std::vector<int64_t> places;
  for (int64_t i = 0; i < count; ++i) places.push_back(i * step);
  return places;
}

std::optional<NodeWeights> node_weights(const ConstTensor& w, const std::vector<int64_t>& zero_points,
                                        const std::vector<int64_t>& starts, const std::vector<int64_t>& order) {
  NodeWeights weights;
  weights.channels = static_cast<int64_t>(starts.size());
  weights.values.resize(starts.size() * order.size());
  int64_t low = 0, high = 0;
  const auto fill = [&](const auto& load) {
    int16_t* to = weights.values.data();
    for (int64_t c = 0; c < weights.channels; ++c) {
      const int64_t zero_point = Requantizer::at(zero_points, c), start = starts[static_cast<size_t>(c)];
      for (int64_t k : order) {
        const int64_t v = load(start + k) - zero_point;
        low = std::min(low, v);
        high = std::max(high, v);
        *to++ = static_cast<int16_t>(v);
      }
    }
  };
  const auto* bytes = w.as<int8_t>();
  if (w.dtype() == DType::int8)  // the usual case, without a call for every element
    fill([=](int64_t i) -> int64_t { return bytes[i]; });
  else
    fill([&](int64_t i) { return load_int(w, i); });
  if (low < INT16_MIN || high > INT16_MAX) return std::nullopt;
  weights.largest = std::max(-low, high);
  weights.fit_bytes = low >= INT8_MIN && high <= INT8_MAX;
  return weights;
}

std::optional<NodeSums> node_sums(const NodeSpec& node, const NodeWeights& weights, int64_t zero_point) {
  const DType type = node.inputs[0]->dtype;
  if (!is_8_bit(type) && type != DType::int16) return std::nullopt;
  if (!VectorStage::writes(node.outputs[0]->dtype) || std::abs(zero_point) > INT16_MAX) return std::nullopt;
  if (node.has_input(2) && !node.constant(2).present()) return std::nullopt;
  // Padding adds nothing to a sum, so that the range of what is multiplied includes 0.
  const int64_t low = std::min<int64_t>(node.ranges[0].low - zero_point, 0);
  const int64_t high = std::max<int64_t>(node.ranges[0].high - zero_point, 0);
  NodeSums sums;
  const int64_t K = static_cast<int64_t>(weights.values.size()) / weights.channels;
  for (int64_t c = 0; c < weights.channels; ++c) {
    const int16_t* w = weights.values.data() + c * K;
    int64_t sum = 0, positive = 0;
    for (int64_t k = 0; k < K; ++k) {
      sum += w[k];
      positive += w[k] > 0 ? w[k] : 0;
    }
    const int64_t negative = sum - positive;
    const int64_t largest = std::max(positive * high + negative * low, -(positive * low + negative * high));
    const int64_t bias = node.has_input(2) ? load_int(node.constant(2), c) : 0;
    if (std::abs(bias) > INT32_MAX) return std::nullopt;
    sums.bias.push_back(bias);
    sums.weights.push_back(sum);
    sums.largest_products = std::max(sums.largest_products, largest);
    sums.largest = std::max(sums.largest, largest + std::abs(bias));
  }
  if (sums.largest > INT32_MAX && node.attributes.text("acc", "exact64") != "wrap32") return std::nullopt;
  return sums;
}

}  // namespace bittrue
