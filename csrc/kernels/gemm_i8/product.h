// An integer matrix product with constant weights and its output stage, prepared when a model is loaded: what Conv2d
// and MatMul share on the vector paths. Pixels are the rows of the left matrix.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/op.h"
#include "kernels/gemm_i8/node_operands.h"
#include "kernels/gemm_i8/packed_weights.h"
#include "kernels/gemm_i8/small_pixels.h"
#include "kernels/stage/vector_stage.h"

namespace bittrue {

// What the values of the input become before they are multiplied: x + added, in one byte without sign or in two with.
struct InputForm {
  int64_t added = 0;
  int64_t value_bytes = 1;
  int64_t padding = 0;  // the value that stands for padding, after the addition

  bool changes(DType type) const { return added != 0 || value_bytes * 8 != info(type).bits; }
};

class Product {
 public:
  // `groups` equal parts of the channels have weights of their own; `segments` are those of the first group.
  // `zero_point` is the one of input 0. Nothing if no way of the path runs the node exactly: input 0 must be int8,
  // uint8 or int16, and the sums plus the bias in input 2 must be exact in 32 bits, unless the accumulator wraps.
  static std::optional<Product> make(const NodeSpec& node, const std::vector<TileGemm>& ways, int64_t zero_point,
                                     bool has_padding, const PixelSegments& segments, int64_t groups,
                                     const NodeWeights& weights);

  const InputForm& input() const { return input_; }
  int64_t value_bytes() const { return stage_.value_bytes(); }  // of the output
  int64_t blocks() const { return weights_[0].blocks(); }       // of the channels of a group
  int64_t tile_pixels() const { return gemm_->pixels; }
  bool checks_pixels() const { return gemm_->checks_pixels; }

  // The channels in the blocks [begin, end) of a group at `count` pixels, whose values have the input form. `y` is the
  // place of channel 0 of the first pixel, `y_stride` the bytes between pixels.
  void run(const uint8_t* const* pixels, int64_t count, int64_t group, int64_t begin, int64_t end, uint8_t* y,
           int64_t y_stride) const;

 private:
  Product(const TileGemm& gemm, const InputForm& input, VectorStage stage, int64_t group_channels, int64_t pair_limit)
      : gemm_(&gemm),
        input_(input),
        stage_(std::move(stage)),
        group_channels_(group_channels),
        pair_limit_(pair_limit) {}

  void add_the_rest(const SmallPixels& small, const PackedWeights& weights, int64_t b, int64_t count,
                    int32_t* sums) const;

  const TileGemm* gemm_;
  InputForm input_;
  VectorStage stage_;
  int64_t group_channels_;
  int64_t pair_limit_;                  // of the sum of two neighbouring values of a pixel, where pixels are checked
  std::vector<PackedWeights> weights_;  // one per group
};

}  // namespace bittrue
