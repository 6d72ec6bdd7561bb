// The loops of a tile, for any instruction set. `Way` has the types and instructions:
//   Vector, lanes, group; zero(), load(words), store(sums, vector);
//   add<Words>(sum, pixel bytes, weights[Words]) adds the products of up to `group` consecutive words.
// `Finish` takes the sums of a tile while they are in registers: finish(first pixel, sums[Pixels][Vectors]).
// The including file is compiled for the instruction set.
#pragma once

#include <algorithm>

#include "kernels/gemm_i8/tile_gemm.h"

namespace bittrue {

namespace {

template <class Way, int Pixels, int Vectors, int Words>
inline void multiply_words(const uint8_t* const (&x)[Pixels], int64_t offset, const uint32_t* weights,
                           typename Way::Vector (&sums)[Pixels][Vectors]) {
  const auto load = [weights](int v, typename Way::Vector(&w)[Words]) {
#pragma GCC unroll 4
    for (int i = 0; i < Words; ++i) w[i] = Way::load(weights + (i * Vectors + v) * Way::lanes);
  };
  // By vectors a word of every pixel stays in a register, by pixels the words of every vector. The first is faster
  // where there are registers enough, as measured on AVX2.
  constexpr int few_pixels = 4;
  if constexpr (Pixels > few_pixels && Vectors * Words < Pixels) {
    typename Way::Vector w[Vectors][Words];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) load(v, w[v]);
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sums[p][v] = Way::template add<Words>(sums[p][v], x[p] + offset, w[v]);
  } else {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      typename Way::Vector w[Words];
      load(v, w);
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) sums[p][v] = Way::template add<Words>(sums[p][v], x[p] + offset, w);
    }
  }
}

// The sums of the pixels from `first` on.
template <class Way, int Pixels, int Vectors, class Finish>
inline void multiply_tile(const TileOperands& operands, int64_t first, const Finish& finish) {
  const uint8_t* x[Pixels];
  typename Way::Vector sums[Pixels][Vectors];
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) {
    x[p] = operands.pixels[first + p];
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
  finish(first, sums);
}

template <class Way>
struct StoreSums {
  int32_t* sums;
  int64_t stride;

  template <int Pixels, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t first, const typename Way::Vector (&tile)[Pixels][Vectors]) const {
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) Way::store(sums + (first + p) * stride + v * Way::lanes, tile[p][v]);
  }
};

// The pixels [first, end), in tiles of up to Pixels x Vectors.
template <class Way, int Pixels, int Vectors, class Finish>
void multiply_pixels(const TileOperands& operands, int64_t first, int64_t end, const Finish& finish) {
  for (; first + Pixels <= end; first += Pixels) multiply_tile<Way, Pixels, Vectors>(operands, first, finish);
  if constexpr (Pixels > 1)
    if (first < end) multiply_pixels<Way, Pixels - 1, Vectors>(operands, first, end, finish);
}

constexpr int most_pixels = 12;

// As many pixels as the registers for sums allow.
template <class Way, int Sums, int Vectors, class Finish>
void multiply_all(const TileOperands& given, int64_t pixels, int vectors, const Finish& finish) {
  if constexpr (Vectors > 1)
    if (vectors < Vectors) return multiply_all<Way, Sums, Vectors - 1>(given, pixels, vectors, finish);
  const TileOperands operands = given;  // a copy, which the results that are written cannot change
  multiply_pixels<Way, std::min(Sums / Vectors, most_pixels), Vectors>(operands, 0, pixels, finish);
}

template <class Way, int Sums, int Vectors>
void multiply_and_store(const TileOperands& operands, int64_t pixels, int vectors, int32_t* sums, int64_t stride) {
  multiply_all<Way, Sums, Vectors>(operands, pixels, vectors, StoreSums<Way>{sums, stride});
}

// A way of a path with these loops, to which the caller adds what is special about it. `Sums` is the number of vectors
// of sums of a tile.
template <class Way, int Sums, int Vectors>
TileGemm tile_gemm(const char* path, int values_per_word, double word_cost = 1.0) {
  TileGemm gemm{};
  gemm.path = path;
  gemm.values_per_word = values_per_word;
  gemm.lanes = Way::lanes;
  gemm.vectors = Vectors;
  gemm.pixels = Sums / Vectors;
  gemm.word_cost = word_cost;
  gemm.multiply = multiply_and_store<Way, Sums, Vectors>;
  return gemm;
}

}  // namespace

}  // namespace bittrue
