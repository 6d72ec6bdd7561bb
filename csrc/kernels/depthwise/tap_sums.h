// Sums of products of a depthwise convolution on AVX2: 32 channels of a pixel at a time.
//
// vpmaddubsw multiplies unsigned by signed bytes and adds two products with saturation to 16 bits. The unsigned factors
// are the magnitudes of the weights. Values are made signed, and complemented where the weight is negative:
// |w| * ~x = w * x + w. So a pair of taps whose magnitudes add up to at most 256 cannot saturate, whatever the values.
#pragma once

#include <cstdint>

namespace bittrue {

constexpr int64_t tap_block = 32;  // channels

// What one block of channels multiplies.
struct TapBlock {
  const uint8_t* masks;       // [tap][channel]: value ^ mask is what is multiplied
  const uint8_t* magnitudes;  // [pair of taps][channel][tap of the pair], channels in the order of unpacking bytes
  int64_t pairs;
  int64_t pairs_per_sum;  // whose sum is exact in 16 bits
};

// sums[p * tap_block + c] of channel `channel` + c of `pixels` pixels. taps[t] is where tap t of the first pixel lies;
// pixels lie `stride` bytes apart.
void sum_taps_avx2(const TapBlock& block, const uint8_t* const* taps, int64_t channel, int64_t pixels, int64_t stride,
                   int32_t* sums);

}  // namespace bittrue
