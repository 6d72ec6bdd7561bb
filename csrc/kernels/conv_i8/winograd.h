// Winograd's minimal filtering F(4x4, 3x3) in exact integers: 36 products instead of 144 for 16 outputs of a 3x3
// window. With integer matrices B (input), G (weights) and A (output) that give S * y for every output y, where S is a
// product of powers of two and of 9, all arithmetic is modulo 2^32: 9 is divided out by its inverse, the power of two
// by a shift, which leaves y exact if it fits 32 bits less those of the shift. Source: Lavin and Gray, Fast Algorithms
// for Convolutional Neural Networks (2015), section 4.3, with rows scaled to integers.
#pragma once

#include <cstdint>

namespace bittrue {

namespace winograd {

constexpr int64_t outputs = 4;                 // of a tile, along each axis
constexpr int64_t inputs = outputs + 2;        // of a tile, along each axis
constexpr int64_t products = inputs * inputs;  // of a tile and a pair of channels
constexpr int64_t largest_output = 1 << 25;    // magnitude below which an output is exact: 64 is shifted out of 32 bits
constexpr int64_t input_growth = 10 * 10;      // of the magnitude of transformed inputs
constexpr int64_t weight_growth = 7 * 7;       // of the magnitude of transformed weights

// One row of the integer weights of `channels` input channels of one output channel: product row * inputs + i of
// channel c is planes[i][c], from tap t of the window at window[t * channels + c].
void transform_weights(const int16_t* window, int64_t channels, int64_t row, int16_t* const (&planes)[inputs]);

}  // namespace winograd

// to[i * plane + c] for each of the 36 products i and c < channels, from the addresses of the 36 pixels of a tile.
// Values less the zero point are multiplied. Up to 15 channels more are read and written.
void winograd_input_avx2(const uint8_t* const* pixels, int64_t channels, bool is_signed, int16_t zero_point,
                         int16_t* to, int64_t plane);

// The 16 outputs of a tile from its products, products[i * plane + c] for c < channels, a multiple of 8. Output (y, x)
// is sums[y * row + x * pixel + c].
void winograd_output_avx2(const int32_t* products, int64_t plane, int64_t channels, int32_t* sums, int64_t row,
                          int64_t pixel);

}  // namespace bittrue
