#include "kernels/gemm_i8/product.h"

#include <algorithm>

#include "arith/saturate.h"
#include "engine/stage_attributes.h"
#include "kernels/gemm_i8/small_pixels.h"
#include "kernels/scratch.h"

namespace bittrue {

namespace {

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

std::optional<Product> Product::make(const NodeSpec& node, const std::vector<TileGemm>& ways, int64_t zero_point,
                                     bool has_padding, const PixelSegments& segments, int64_t groups,
                                     const NodeWeights& weights) {
  const std::optional<NodeSums> sums = node_sums(node, weights, zero_point);
  if (!sums) return std::nullopt;
  const ValueRange x = node.ranges[0];
  std::vector<const TileGemm*> usable;
  int64_t largest_byte = 0;
  for (const TileGemm& way : ways) {
    const auto form = form_for(way, x, zero_point, has_padding);
    if (!form || (form->value_bytes == 1 && !weights.fit_bytes)) continue;
    // Values that are raised by an offset are rarely small.
    if (way.checks_pixels && form->added > 0) continue;
    if (form->value_bytes == 1) largest_byte = std::max(x.high + form->added, form->padding);
    usable.push_back(&way);
  }
  const int64_t group_channels = weights.channels / groups;
  const TileGemm* gemm = PackedWeights::choose(usable, weights.values.data(), group_channels, segments, largest_byte);
  if (!gemm) return std::nullopt;
  const InputForm form = *form_for(*gemm, x, zero_point, has_padding);
  std::vector<int32_t> bias;  // the pixels hold x + added where x - zero_point is to be multiplied
  for (size_t c = 0; c < sums->bias.size(); ++c)
    bias.push_back(static_cast<int32_t>(wrap(sums->bias[c] - (form.added + zero_point) * sums->weights[c], 32)));
  Product product(*gemm, form,
                  VectorStage(read_output_stage(node, weights.channels), bias, sums->largest, node.outputs[0]->dtype,
                              !gemm->scalar_stage),
                  group_channels, INT16_MAX / std::max<int64_t>(weights.largest, 1));
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
  thread_local SmallPixels small;
  int64_t rows = count;
  if (gemm_->checks_pixels) {
    small.take(pixels, count, weights_[0].segments().length, pair_limit_);
    pixels = small.addresses().data();
    rows = static_cast<int64_t>(small.addresses().size());
  }
  const PackedWeights& weights = weights_[static_cast<size_t>(group)];
  const int64_t block = gemm_->block_channels();
  int32_t* sums = scratch<int32_t>(ScratchUse::sums, rows * block);
  for (int64_t b = begin; b < end; ++b) {
    const int64_t channels = std::min(block, group_channels_ - b * block);
    const int64_t channel = group * group_channels_ + b * block;
    uint8_t* to = y + channel * stage_.value_bytes();
    if (weights.multiply_to_bytes(b, pixels, count, {&stage_.rule(), channel, channels, to, y_stride})) continue;
    weights.multiply(b, pixels, rows, sums, block);
    if (gemm_->checks_pixels) add_the_rest(small, weights, b, count, sums);
    stage_.apply_pixels(sums, {count, channel, channels, block, y_stride}, to);
  }
}

// What small pixels leave out of the sums of one block.
void Product::add_the_rest(const SmallPixels& small, const PackedWeights& weights, int64_t b, int64_t count,
                           int32_t* sums) const {
  const int64_t block = gemm_->block_channels();
  for (const SmallPixels::Word& word : small.words())
    weights.add_word(b, word.word, word.values, sums + word.pixel * block);
  const int32_t* part = sums + count * block;
  for (const int64_t pixel : small.second_parts()) {
    int32_t* sum = sums + pixel * block;
    for (int64_t c = 0; c < weights.block_vectors(b) * gemm_->lanes; ++c) sum[c] += part[c];
    part += block;
  }
}

}  // namespace bittrue
