#include "kernels/gemm_i8/product.h"

#include <algorithm>
#include <cstdlib>

#include "arith/saturate.h"
#include "engine/stage_attributes.h"
#include "kernels/scratch.h"

namespace bittrue {

namespace {

// What the sums of the channels need: their bias, and how large they become.
struct ChannelSums {
  std::vector<int64_t> bias, weights;  // per channel: the bias of the node, the sum of the weights
  int64_t largest = 0;                 // magnitude that a sum plus bias cannot exceed
};

ChannelSums channel_sums(const NodeSpec& node, const ProductWeights& weights, int64_t largest_difference) {
  ChannelSums sums;
  const int64_t K = static_cast<int64_t>(weights.values.size()) / weights.channels;
  for (int64_t c = 0; c < weights.channels; ++c) {
    const int16_t* w = weights.values.data() + c * K;
    int64_t sum = 0, magnitude = 0;
    for (int64_t k = 0; k < K; ++k) {
      sum += w[k];
      magnitude += std::abs(int32_t(w[k]));
    }
    sums.bias.push_back(node.has_input(2) ? load_int(node.constant(2), c) : 0);
    sums.weights.push_back(sum);
    sums.largest = std::max(sums.largest, magnitude * largest_difference + std::abs(sums.bias.back()));
  }
  return sums;
}

// The form of the input in which `way` can multiply it.
std::optional<InputForm> form_for(const TileGemm& way, ValueRange x, int64_t zero_point, bool has_padding) {
  if (way.values_per_word == 2) {
    if (x.low - zero_point < INT16_MIN || x.high - zero_point > INT16_MAX) return std::nullopt;
    return InputForm{-zero_point, 2, 0};
  }
  const int64_t added = std::max<int64_t>(0, -x.low), padding = has_padding ? zero_point + added : 0;
  if (x.high + added > UINT8_MAX || padding < 0 || padding > UINT8_MAX) return std::nullopt;
  return InputForm{added, 1, padding};
}

}  // namespace

std::optional<ProductWeights> product_weights(const ConstTensor& w, const std::vector<int64_t>& zero_points,
                                              int64_t channels, int64_t channel_stride,
                                              const std::vector<int64_t>& order) {
  ProductWeights weights;
  weights.channels = channels;
  weights.values.reserve(static_cast<size_t>(channels) * order.size());
  int64_t low = 0, high = 0;
  const auto fill = [&](const auto& load) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t zero_point = Requantizer::at(zero_points, c);
      for (int64_t k : order) {
        const int64_t v = load(c * channel_stride + k) - zero_point;
        low = std::min(low, v);
        high = std::max(high, v);
        weights.values.push_back(static_cast<int16_t>(v));
      }
    }
  };
  const auto* bytes = w.as<int8_t>();
  if (w.dtype() == DType::int8)  // the usual case, without a call for every element
    fill([=](int64_t i) -> int64_t { return bytes[i]; });
  else
    fill([&](int64_t i) { return load_int(w, i); });
  if (low < INT16_MIN || high > INT16_MAX) return std::nullopt;
  weights.fit_bytes = low >= INT8_MIN && high <= INT8_MAX;
  return weights;
}

std::optional<Product> Product::make(const NodeSpec& node, const std::vector<TileGemm>& ways, int64_t zero_point,
                                     bool has_padding, const PixelSegments& segments, int64_t groups,
                                     const ProductWeights& weights) {
  const DType type = node.inputs[0]->dtype;
  if (type != DType::int8 && type != DType::uint8 && type != DType::int16) return std::nullopt;
  if (!VectorStage::writes(node.outputs[0]->dtype) || std::abs(zero_point) > INT16_MAX) return std::nullopt;
  if (node.has_input(2) && !node.constant(2).present()) return std::nullopt;
  const ValueRange x = node.ranges[0];
  const ChannelSums sums =
      channel_sums(node, weights, std::max(std::abs(x.low - zero_point), std::abs(x.high - zero_point)));
  if (sums.largest > INT32_MAX && node.attributes.text("acc", "exact64") != "wrap32") return std::nullopt;
  for (int64_t b : sums.bias)
    if (std::abs(b) > INT32_MAX) return std::nullopt;
  std::vector<const TileGemm*> usable;
  int64_t largest_byte = 0;
  for (const TileGemm& way : ways) {
    const auto form = form_for(way, x, zero_point, has_padding);
    if (!form || (form->value_bytes == 1 && !weights.fit_bytes)) continue;
    if (form->value_bytes == 1) largest_byte = std::max(x.high + form->added, form->padding);
    usable.push_back(&way);
  }
  const int64_t group_channels = weights.channels / groups;
  const TileGemm* gemm = PackedWeights::choose(usable, weights.values.data(), group_channels, segments, largest_byte);
  if (!gemm) return std::nullopt;
  const InputForm form = *form_for(*gemm, x, zero_point, has_padding);
  std::vector<int32_t> bias;  // the pixels hold x + added where x - zero_point is to be multiplied
  for (size_t c = 0; c < sums.bias.size(); ++c)
    bias.push_back(static_cast<int32_t>(wrap(sums.bias[c] - (form.added + zero_point) * sums.weights[c], 32)));
  Product product(*gemm, form,
                  VectorStage(read_output_stage(node, weights.channels), bias, sums.largest, node.outputs[0]->dtype),
                  group_channels);
  for (int64_t g = 0; g < groups; ++g) {
    auto packed = PackedWeights::pack(*gemm, weights.values.data() + g * group_channels * segments.values(),
                                      group_channels, segments, largest_byte);
    if (!packed) return std::nullopt;
    product.weights_.push_back(std::move(*packed));
  }
  return product;
}

void Product::run(const uint8_t* const* pixels, int64_t count, int64_t group, int64_t begin, int64_t end, uint8_t* y,
                  int64_t y_stride) const {
  const PackedWeights& weights = weights_[static_cast<size_t>(group)];
  const int64_t block = gemm_->block_channels();
  int32_t* sums = scratch<int32_t>(ScratchUse::sums, count * block);
  for (int64_t b = begin; b < end; ++b) {
    weights.multiply(b, pixels, count, sums, block);
    const int64_t channels = std::min(block, group_channels_ - b * block);
    const int64_t channel = group * group_channels_ + b * block;
    stage_.apply_pixels(sums, {count, channel, channels, block, y_stride}, y + channel * stage_.value_bytes());
  }
}

}  // namespace bittrue
