// The integer matrix product of the vector paths: tiles of a few pixels (rows of the left matrix) times a few vectors
// of output channels, over 32-bit words that hold 4 values of a byte or 2 of 16 bits of consecutive k. A word of a
// pixel is broadcast, multiplied with a vector of weight words (one channel a lane), and all its products are added to
// the 32-bit sum of the lane, modulo 2^32.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/stage/vector_stage.h"

namespace bittrue {

constexpr int64_t gemm_word_bytes = 4;

struct TileOperands {
  const uint8_t* const* pixels;  // address of each pixel
  const int64_t* segments;       // byte offsets of the runs of words of a pixel
  int64_t segment_count, segment_words;
  const int64_t* extras;  // byte offsets of single words of a pixel that are multiplied once more (packed_weights.h)
  int64_t extra_count;
  const uint32_t* weights;  // [words of the segments, then of the extras][vectors * lanes]
};

// Where the results of an output stage go: value c < channels of pixel p to y[p * stride + c].
struct TileBytes {
  const VectorStageRule* rule;
  int64_t first_channel, channels;
  uint8_t* y;
  int64_t stride;
};

struct TileGemm {
  const char* path;
  int values_per_word;  // 4: unsigned pixels times signed weights; 2: both signed
  // The instruction for bytes on AVX2 adds two products to a 16-bit value that saturates. It is used where that is
  // proven not to happen, for the sum of this many words of a segment, which are then widened together. 0: sums have 32
  // bits.
  int narrow_words;
  // Not the weights but the values of the pixels are kept so small that nothing saturates (small_pixels.h).
  bool checks_pixels;
  bool scalar_stage;  // its path has no vector code for the output stage either
  int lanes;
  int vectors;       // most of a tile
  int pixels;        // most of a tile
  double word_cost;  // time of a word relative to a way of the same path that takes its words one by one, as measured
  // Tile by tile; the sums are [pixel][vectors * lanes], pixels `stride` apart.
  void (*multiply)(const TileOperands& operands, int64_t pixels, int vectors, int32_t* sums, int64_t stride);
  // The same with the output stage of each tile while its sums are in registers. False, and nothing done, for a rule
  // that it does not have. Null if the way has none.
  bool (*multiply_to_bytes)(const TileOperands& operands, int64_t pixels, int vectors, const TileBytes& to);
  // Adds the products of any four bytes with one word of the weights. Only of a way that checks pixels.
  void (*add_word)(const uint8_t* values, const uint32_t* weights, int vectors, int32_t* sums);

  int block_channels() const { return lanes * vectors; }
};

// All ways of a path; none where this build does not have it. The portable ones are in every build.
const std::vector<TileGemm>& tile_gemms_generic();
const std::vector<TileGemm>& tile_gemms_avx2();
const std::vector<TileGemm>& tile_gemms_avxvnni();
const std::vector<TileGemm>& tile_gemms_avx512vnni();

// Defines the factories of a kernel for all paths that have tiles, from make(node, ways).
#define BITTRUE_TILE_KERNEL_ON(name, make, path) \
  std::unique_ptr<Op> make_kernel_##name##_##path(const NodeSpec& node) { return make(node, tile_gemms_##path()); }
#define BITTRUE_TILE_KERNEL(name, make)       \
  BITTRUE_TILE_KERNEL_ON(name, make, generic) \
  BITTRUE_TILE_KERNEL_ON(name, make, avx2)    \
  BITTRUE_TILE_KERNEL_ON(name, make, avxvnni) \
  BITTRUE_TILE_KERNEL_ON(name, make, avx512vnni)

}  // namespace bittrue
