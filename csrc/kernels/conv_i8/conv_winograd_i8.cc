// 3x3 convolution with strides of 1 by Winograd's filtering (winograd.h), where that takes fewer products than the
// direct way and its sums are proven exact.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "engine/stage_attributes.h"
#include "kernels/conv_i8/winograd.h"
#include "kernels/gemm_i8/node_operands.h"
#include "kernels/gemm_i8/packed_weights.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"
#include "ops/window.h"

namespace bittrue {

namespace {

constexpr int64_t channel_vector = 16;  // of the input transform
// Tiles of a chunk: their transformed inputs fit a part of the second-level cache, but so many share one reading of the
// weights that large layers do not wait for memory.
constexpr int64_t chunk_bytes = 192 * 1024;
constexpr int64_t least_chunk = 28;
constexpr int64_t largest_chunk = 48;
constexpr int64_t channels_at_once = 64;  // that share one reading of the transformed inputs
// What a node must keep to for it to pay, as measured beside the direct way of a path: transforms that are shared by
// enough channels, tiles that do not leave the image too far, and weights, of which there are eight times the bytes,
// that are shared by enough tiles.
struct Limits {
  int64_t least_channels, least_tiles;
  double most_waste;
  int64_t most_bytes_per_tile;
  int64_t most_bytes;  // so that a network does not take more memory than in other engines
};
constexpr Limits beside_narrow_sums = {16, 12, 1.5, INT64_MAX, INT64_MAX};
constexpr Limits beside_vnni = {48, 12, 1.3, 200 * 1024, 6 * 1024 * 1024};
constexpr int64_t jobs_per_thread = 4;

class ConvWinogradI8 final : public Op {
 public:
  ConvWinogradI8(const NodeSpec& node, const TileGemm& gemm, const NodeWeights& weights, VectorStage stage)
      : gemm_(gemm),
        C_(node.inputs[0]->shape[1]),
        H_(node.inputs[0]->shape[2]),
        W_(node.inputs[0]->shape[3]),
        OC_(node.outputs[0]->shape[1]),
        OH_(node.outputs[0]->shape[2]),
        OW_(node.outputs[0]->shape[3]),
        tile_rows_((OH_ + winograd::outputs - 1) / winograd::outputs),
        tile_columns_((OW_ + winograd::outputs - 1) / winograd::outputs),
        row_values_((C_ + channel_vector - 1) / channel_vector * channel_vector),
        is_signed_(node.inputs[0]->dtype == DType::int8),
        zero_point_(static_cast<int16_t>(node.attributes.integer("x_zero_point", 0))),
        padding_(static_cast<size_t>(row_values_), static_cast<uint8_t>(zero_point_)),
        stage_(std::move(stage)) {
    const std::vector<int64_t> pads = node.attributes.integers("pads", {0, 0, 0, 0});
    pad_top_ = pads[0];
    pad_left_ = pads[1];
    // Row by row, because all of them are many times as large as the weights.
    std::vector<int16_t> planes[winograd::inputs];
    for (std::vector<int16_t>& plane : planes) plane.resize(static_cast<size_t>(OC_ * C_));
    for (int64_t row = 0; row < winograd::inputs; ++row) {
      for (int64_t oc = 0; oc < OC_; ++oc) {  // the values are [channel][tap][input channel]
        int16_t* to[winograd::inputs];
        for (size_t i = 0; i < winograd::inputs; ++i) to[i] = planes[i].data() + oc * C_;
        winograd::transform_weights(weights.values.data() + oc * 9 * C_, C_, row, to);
      }
      for (const std::vector<int16_t>& plane : planes)
        weights_.push_back(*PackedWeights::pack(gemm, plane.data(), OC_, {{0}, C_}, 0));
    }
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t tiles = tile_rows_ * tile_columns_, threads = context.pool.threads(), blocks = weights_[0].blocks();
    int64_t chunk = std::clamp(chunk_bytes / (winograd::products * row_values_ * 2), least_chunk, largest_chunk);
    if (threads > 1) chunk = std::min(chunk, std::max(least_chunk, tiles / (jobs_per_thread * threads)));
    const int64_t rounds = (tiles + chunk * threads - 1) / (chunk * threads);  // of as many chunks as threads
    if (chunk < tiles) chunk = (tiles + rounds * threads - 1) / (rounds * threads);
    const int64_t chunks = (tiles + chunk - 1) / chunk;
    const int64_t parts = threads == 1 ? 1 : std::min(blocks, (2 * threads + chunks - 1) / chunks);
    for (int64_t n = 0; n < out[0].dim(0); ++n) {
      const uint8_t* x = in[0].data + n * H_ * W_ * C_;
      uint8_t* y = out[0].data + n * OH_ * OW_ * OC_ * stage_.value_bytes();
      context.pool.parallel_for(chunks * parts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; ++job) {
          const int64_t first = job / parts * chunk, part = job % parts;
          run_chunk(x, first, std::min(chunk, tiles - first), blocks * part / parts, blocks * (part + 1) / parts, y);
        }
      });
    }
  }

 private:
  // The blocks [begin, end) of channels of `count` tiles.
  void run_chunk(const uint8_t* x, int64_t first, int64_t count, int64_t begin, int64_t end, uint8_t* y) const {
    const int64_t plane = count * row_values_, block = gemm_.block_channels();
    int16_t* inputs = scratch<int16_t>(ScratchUse::panel, winograd::products * plane);
    for (int64_t t = 0; t < count; ++t) transform_tile(x, first + t, inputs + t * row_values_, plane);
    const int64_t products_of_block = winograd::products * count * block;
    const int64_t blocks_at_once = std::max<int64_t>(1, channels_at_once / block);
    int32_t* products = scratch<int32_t>(ScratchUse::sums, blocks_at_once * products_of_block);
    int32_t* sums = scratch<int32_t>(ScratchUse::rows, winograd::outputs * winograd::outputs * count * block);
    const uint8_t* addresses[largest_chunk];
    for (int64_t b0 = begin; b0 < end; b0 += blocks_at_once) {
      const int64_t b1 = std::min(end, b0 + blocks_at_once);
      for (int64_t i = 0; i < winograd::products; ++i) {
        for (int64_t t = 0; t < count; ++t)
          addresses[t] = reinterpret_cast<const uint8_t*>(inputs + i * plane + t * row_values_);
        for (int64_t b = b0; b < b1; ++b)
          weights_[static_cast<size_t>(i)].multiply(
              b, addresses, count, products + (b - b0) * products_of_block + i * block, winograd::products * block);
      }
      for (int64_t b = b0; b < b1; ++b) store_block(products + (b - b0) * products_of_block, first, count, b, sums, y);
    }
  }

  void transform_tile(const uint8_t* x, int64_t tile, int16_t* to, int64_t plane) const {
    const int64_t top = tile / tile_columns_ * winograd::outputs - pad_top_;
    const int64_t left = tile % tile_columns_ * winograd::outputs - pad_left_;
    const uint8_t* pixels[winograd::products];
    for (int64_t i = 0; i < winograd::products; ++i) {
      const int64_t iy = top + i / winograd::inputs, ix = left + i % winograd::inputs;
      const bool inside = iy >= 0 && iy < H_ && ix >= 0 && ix < W_;
      pixels[i] = inside ? x + (iy * W_ + ix) * C_ : padding_.data();
    }
    winograd_input_avx2(pixels, C_, is_signed_, zero_point_, to, plane);
  }

  // Tiles of one row of tiles give rows of neighbouring pixels, which the output stage takes at once.
  void store_block(const int32_t* products, int64_t first, int64_t count, int64_t b, int32_t* sums, uint8_t* y) const {
    const int64_t block = gemm_.block_channels();
    const int64_t channel = b * block, channels = std::min(block, OC_ - channel);
    const int64_t vectors = weights_[0].block_vectors(b) * gemm_.lanes, bytes = stage_.value_bytes();
    for (int64_t t = 0; t < count;) {
      const int64_t row = (first + t) / tile_columns_, column = (first + t) % tile_columns_;
      const int64_t run = std::min(count - t, tile_columns_ - column);
      const int64_t row_sums = run * winograd::outputs * block;
      for (int64_t i = 0; i < run; ++i)
        winograd_output_avx2(products + (t + i) * winograd::products * block, block, vectors,
                             sums + i * winograd::outputs * block, row_sums, block);
      const int64_t oy = row * winograd::outputs, ox = column * winograd::outputs;
      for (int64_t r = 0; r < std::min(winograd::outputs, OH_ - oy); ++r)
        stage_.apply_pixels(sums + r * row_sums,
                            {std::min(run * winograd::outputs, OW_ - ox), channel, channels, block, OC_ * bytes},
                            y + (((oy + r) * OW_ + ox) * OC_ + channel) * bytes);
      t += run;
    }
  }

  const TileGemm& gemm_;
  int64_t C_, H_, W_, OC_, OH_, OW_;
  int64_t tile_rows_, tile_columns_;
  int64_t row_values_;  // of a transformed tile in one plane
  bool is_signed_;
  int16_t zero_point_;
  int64_t pad_top_ = 0, pad_left_ = 0;
  std::vector<uint8_t> padding_;  // the channels of a pixel of padding
  VectorStage stage_;
  std::vector<PackedWeights> weights_;  // of the 36 products
};

// Whether a node has the shape for it, and keeps to the limits.
bool pays(const NodeSpec& node, const Limits& limits) {
  const ConstTensor w = node.constant(1);
  if (!w.present() || w.shape().size() != 4 || w.dim(2) != 3 || w.dim(3) != 3) return false;
  const Window window = read_window(node, {3, 3});
  if (window.stride_h != 1 || window.stride_w != 1 || window.dilation_h != 1 || window.dilation_w != 1) return false;
  if (node.attributes.integer("group", 1) != 1 || std::min(w.dim(0), w.dim(1)) < limits.least_channels) return false;
  const Shape& y = node.outputs[0]->shape;
  const int64_t m = winograd::outputs, tiles = (y[2] + m - 1) / m * ((y[3] + m - 1) / m);
  const int64_t weight_bytes = winograd::products * w.dim(0) * w.dim(1) * 2;
  return tiles >= limits.least_tiles && weight_bytes / tiles <= limits.most_bytes_per_tile &&
         weight_bytes <= limits.most_bytes &&
         static_cast<double>(tiles * m * m) <= limits.most_waste * static_cast<double>(y[2] * y[3]);
}

std::unique_ptr<Op> make(const NodeSpec& node, const std::vector<TileGemm>& ways) {
  const DType type = node.inputs[0]->dtype;
  if (ways.empty() || !path_available(ways[0].path) || !path_available("avx2") ||
      !pays(node, ways[0].narrow_words > 0 ? beside_narrow_sums : beside_vnni))
    return nullptr;
  if (!is_8_bit(type)) return nullptr;
  const int64_t zero_point = node.attributes.integer("x_zero_point", 0);
  const ValueRange x = node.ranges[0];
  if (zero_point < info(type).min || zero_point > info(type).max) return nullptr;
  const int64_t largest_x = std::max(std::abs(x.low - zero_point), std::abs(x.high - zero_point));
  const ConstTensor w = node.constant(1);
  std::vector<int64_t> order;  // taps, then channels
  for (int64_t tap = 0; tap < 9; ++tap)
    for (int64_t ic = 0; ic < w.dim(1); ++ic) order.push_back(ic * 9 + tap);
  const auto weights =
      node_weights(w, node.attributes.integers("w_zero_point", {0}), steps(w.dim(0), w.dim(1) * 9), order);
  if (!weights || largest_x * winograd::input_growth > INT16_MAX) return nullptr;
  if (weights->largest * winograd::weight_growth > INT16_MAX) return nullptr;
  const auto sums = node_sums(node, *weights, zero_point);
  if (!sums || sums->largest_products >= winograd::largest_output) return nullptr;
  const auto halves = std::find_if(ways.begin(), ways.end(), [](const TileGemm& g) { return g.values_per_word == 2; });
  VectorStage stage(read_output_stage(node, w.dim(0)), {sums->bias.begin(), sums->bias.end()}, sums->largest,
                    node.outputs[0]->dtype);
  return std::make_unique<ConvWinogradI8>(node, *halves, *weights, std::move(stage));
}

}  // namespace

BITTRUE_TILE_KERNEL_ON(conv_winograd_i8, make, avx2)
BITTRUE_TILE_KERNEL_ON(conv_winograd_i8, make, avxvnni)
BITTRUE_TILE_KERNEL_ON(conv_winograd_i8, make, avx512vnni)

}  // namespace bittrue
