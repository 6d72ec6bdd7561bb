// Weights of a matrix product, packed once for the tiles of one way (tile_gemm.h): blocks of block_channels() channels,
// [block][word][channel of the block].
//
// Where 16-bit sums of products must not saturate, the weights of a word that would are split in two: what fits stays,
// the rest becomes an extra word, multiplied with the same values of the pixel once more. With x in [0, X] a 16-bit sum
// is safe if its positive weights add up to at most 32767 / X, and so do its negative ones.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/gemm_i8/tile_gemm.h"

namespace bittrue {

// The values of a pixel that are multiplied: `length` consecutive ones from each of the offsets, which count values. k
// counts through all of them.
struct PixelSegments {
  std::vector<int64_t> offsets;
  int64_t length = 0;

  int64_t values() const { return static_cast<int64_t>(offsets.size()) * length; }
  int64_t words(const TileGemm& gemm) const { return (length + gemm.values_per_word - 1) / gemm.values_per_word; }
};

class PackedWeights {
 public:
  // `weights` are [channels][segments.values()], in the range of the way's weights. `largest_x` bounds the values of
  // pixels, which are not negative where bytes are multiplied. Nothing if a 16-bit sum cannot be kept from saturating.
  static std::optional<PackedWeights> pack(const TileGemm& gemm, const int16_t* weights, int64_t channels,
                                           const PixelSegments& segments, int64_t largest_x);

  // The way whose words, with the extra ones, take the least time, as the first block shows; nullptr if none can be
  // used.
  static const TileGemm* choose(const std::vector<const TileGemm*>& ways, const int16_t* weights, int64_t channels,
                                const PixelSegments& segments, int64_t largest_x);

  int64_t blocks() const { return static_cast<int64_t>(extras_.size()); }
  int64_t block_vectors(int64_t block) const;
  const PixelSegments& segments() const { return segments_; }
  // Adds the products of the four bytes of one word of a pixel with one block to its sums.
  void add_word(int64_t block, int64_t word, const uint8_t* values, int32_t* sums) const;
  // Multiplies pixels with one block.
  void multiply(int64_t block, const uint8_t* const* pixels, int64_t count, int32_t* sums, int64_t sum_stride) const;
  // As TileGemm::multiply_to_bytes.
  bool multiply_to_bytes(int64_t block, const uint8_t* const* pixels, int64_t count, const TileBytes& to) const;

 private:
  PackedWeights(const TileGemm& gemm, int64_t channels, const PixelSegments& segments);
  TileOperands operands(int64_t block, const uint8_t* const* pixels) const;
  bool pack_block(const int16_t* weights, int64_t block, int64_t largest_x);

  const TileGemm* gemm_;
  int64_t channels_;
  PixelSegments segments_;
  std::vector<int64_t> offsets_;  // of the segments, in bytes
  std::vector<uint32_t> words_;
  std::vector<int64_t> starts_;               // of the words of each block
  std::vector<std::vector<int64_t>> extras_;  // byte offsets of the extra words of each block
};

}  // namespace bittrue
