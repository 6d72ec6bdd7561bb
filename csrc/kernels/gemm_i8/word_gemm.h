// The integer matrix product of the vector paths, over 32-bit words that hold 2 (16-bit) or 4 (8-bit) values of
// consecutive k. One instruction multiplies a vector of words with one broadcast word and adds all products of a lane
// to its 32-bit sum, modulo 2^32 and without saturation.
//
// Activations of a strip of pixels are interleaved into tiles: [tile][k word][tile_vectors * lanes pixels].
// Weights are packed once into blocks of `lanes` output channels: [block][k word][lanes channels].
// Either side can be the vector: pixels when there are many, channels when there are few pixels.
#pragma once

#include <cstdint>

namespace bittrue {

constexpr int tile_vectors = 3;
constexpr int channel_vectors = 4;  // blocks that one step of `multiply_channels` takes

// Eight consecutive pixels of a row of bytes: those at `first`, of which the ones from bit `bits` on are at `second`
// instead (the next image row). bits = 64: all are at `first`. The bytes are `stride` (1 or 2) apart.
struct PixelUnit {
  int64_t first, second, bits;
};
constexpr int64_t unit_pixels = 8;

struct PixelUnits {
  const PixelUnit* units;
  int64_t vectors;  // of pixels, that is lanes / unit_pixels units each
  int64_t stride;
};

struct WordGemm {
  const char* path;
  int values_per_word;
  int lanes;
  int tile_rows;  // output channels of a tile; divides lanes

  int tile_pixels() const { return tile_vectors * lanes; }

  // Activations are offset before they are multiplied. 16-bit words hold x - zero_point itself; 8-bit words are
  // unsigned, int8 is raised by 128, and the kernel corrects the sums by the offset times the sum of the weights.
  bool subtracts_zero_point() const { return values_per_word == 2; }

  // One k word of the pixels that `units` find in each of values_per_word `rows`. Reads 8 * stride bytes at each
  // address. `words` is the place of the first vector in the first tile, `tile_stride` the words of a tile.
  void (*interleave)(const uint8_t* const* rows, const PixelUnits& pixels, bool is_signed, int32_t zero_point,
                     uint32_t* words, int64_t tile_stride);

  // sums[r * stride + p] = (accumulate ? itself : 0) + dot(weights row r, pixel p) for tile_rows rows and
  // vectors * lanes pixels of one tile.
  void (*multiply_pixels)(const uint32_t* weights, const uint32_t* tile, int64_t k_words, int vectors, bool accumulate,
                          int32_t* sums, int64_t stride);

  // sums[b * lanes + c] = dot(channel c of block b, pixel) for `blocks` blocks of weights, block_stride words apart.
  // Word k of the pixel is pixel[k * pixel_stride].
  void (*multiply_channels)(const uint32_t* weights, int64_t block_stride, int64_t blocks, const uint32_t* pixel,
                            int64_t pixel_stride, int64_t k_words, int32_t* sums);
};

// nullptr where this build has no such path.
const WordGemm* word_gemm_avx2();
const WordGemm* word_gemm_avx512vnni();

}  // namespace bittrue
