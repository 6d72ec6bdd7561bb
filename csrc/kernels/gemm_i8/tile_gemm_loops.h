// The loops of a tile, for any instruction set. `Way` has the types and instructions:
//   Vector, lanes, group; zero(), load(words), store(sums, vector);
//   add<Words>(sum, pixel bytes, weights[Words]) adds the products of up to `group` consecutive words.
// The including file is compiled for the instruction set.
#pragma once

#include "kernels/gemm_i8/tile_gemm.h"

namespace bittrue {

namespace {

template <class Way, int Pixels, int Vectors, int Words>
inline void multiply_words(const uint8_t* const (&x)[Pixels], int64_t offset, const uint32_t* weights,
                           typename Way::Vector (&sums)[Pixels][Vectors]) {
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    typename Way::Vector w[Words];
#pragma GCC unroll 4
    for (int i = 0; i < Words; ++i) w[i] = Way::load(weights + (i * Vectors + v) * Way::lanes);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) sums[p][v] = Way::template add<Words>(sums[p][v], x[p] + offset, w);
  }
}

template <class Way, int Pixels, int Vectors>
inline void multiply_tile(const TileOperands& operands, const uint8_t* const* pixels, int32_t* results) {
  const uint8_t* x[Pixels];
  typename Way::Vector sums[Pixels][Vectors];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    x[p] = pixels[p];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[p][v] = Way::zero();
  }
  constexpr int row = Vectors * Way::lanes;
  const uint32_t* weights = operands.weights;
  for (int64_t s = 0; s < operands.segment_count; ++s) {
    int64_t offset = operands.segments[s], left = operands.segment_words;
    for (; left >= Way::group; left -= Way::group) {
      multiply_words<Way, Pixels, Vectors, Way::group>(x, offset, weights, sums);
      offset += Way::group * gemm_word_bytes;
      weights += Way::group * row;
    }
    if (Way::group > 1)
      for (; left > 0; --left) {
        multiply_words<Way, Pixels, Vectors, 1>(x, offset, weights, sums);
        offset += gemm_word_bytes;
        weights += row;
      }
  }
  for (int64_t e = 0; e < operands.extra_count; ++e, weights += row)
    multiply_words<Way, Pixels, Vectors, 1>(x, operands.extras[e], weights, sums);
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) Way::store(results + p * operands.sum_stride + v * Way::lanes, sums[p][v]);
}

// All pixels, in tiles of up to Pixels x Vectors.
template <class Way, int Pixels, int Vectors>
void multiply_all(const TileOperands& given, int64_t pixels, int vectors) {
  if constexpr (Vectors > 1)
    if (vectors < Vectors) return multiply_all<Way, Pixels, Vectors - 1>(given, pixels, vectors);
  const TileOperands operands = given;  // a copy, which the sums that are written cannot change
  int64_t p = 0;
  for (; p + Pixels <= pixels; p += Pixels)
    multiply_tile<Way, Pixels, Vectors>(operands, operands.pixels + p, operands.sums + p * operands.sum_stride);
  if constexpr (Pixels > 1) {
    if (p == pixels) return;
    TileOperands rest = operands;
    rest.pixels += p;
    rest.sums += p * operands.sum_stride;
    multiply_all<Way, Pixels - 1, Vectors>(rest, pixels - p, vectors);
  }
}

// A way of a path with these loops, to which the caller adds what is special about it.
template <class Way, int Pixels, int Vectors>
TileGemm tile_gemm(const char* path, int values_per_word, double word_cost = 1.0) {
  TileGemm gemm{};
  gemm.path = path;
  gemm.values_per_word = values_per_word;
  gemm.lanes = Way::lanes;
  gemm.vectors = Vectors;
  gemm.pixels = Pixels;
  gemm.word_cost = word_cost;
  gemm.multiply = multiply_all<Way, Pixels, Vectors>;
  return gemm;
}

}  // namespace

}  // namespace bittrue
