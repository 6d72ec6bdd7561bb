#include "kernels/depthwise/tap_sums.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

inline __m256i load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// The compiler neither repeats the load of `v` for every pixel nor delays sums until it runs out of registers.
inline void keep_in_register(__m256i& v) { asm("" : "+x"(v)); }

// 16-bit sums of some pixels, channels as unpacking bytes leaves them.
template <int Pixels>
struct WordSums {
  __m256i low[Pixels], high[Pixels];

  WordSums() {
    for (int p = 0; p < Pixels; ++p) low[p] = high[p] = _mm256_setzero_si256();
  }

  // The pairs from First to End, unrolled.
  template <int First, int End>
  [[gnu::always_inline]] void add_pairs(const TapBlock& block, const uint8_t* const* taps, int64_t at, int64_t stride) {
    if constexpr (First < End) {
      add_pair(block, First, taps, at, stride);
      add_pairs<First + 1, End>(block, taps, at, stride);
    }
  }

  [[gnu::always_inline]] void add_pair(const TapBlock& block, int64_t pair, const uint8_t* const* taps, int64_t at,
                                       int64_t stride) {
    const uint8_t* masks = block.masks + pair * 2 * tap_block;
    const uint8_t* magnitudes = block.magnitudes + pair * 2 * tap_block;
    __m256i mask_a = load(masks), mask_b = load(masks + tap_block);
    __m256i w_low = load(magnitudes), w_high = load(magnitudes + tap_block);
    const uint8_t *from_a = taps[2 * pair] + at, *from_b = taps[2 * pair + 1] + at;
    keep_in_register(mask_a);
    keep_in_register(mask_b);
    keep_in_register(w_low);
    keep_in_register(w_high);
    for (int p = 0; p < Pixels; ++p) {
      const __m256i a = _mm256_xor_si256(load(from_a + p * stride), mask_a);
      const __m256i b = _mm256_xor_si256(load(from_b + p * stride), mask_b);
      low[p] = _mm256_add_epi16(low[p], _mm256_maddubs_epi16(w_low, _mm256_unpacklo_epi8(a, b)));
      high[p] = _mm256_add_epi16(high[p], _mm256_maddubs_epi16(w_high, _mm256_unpackhi_epi8(a, b)));
      keep_in_register(low[p]);
      keep_in_register(high[p]);
    }
  }
};

// 32-bit sums of some pixels.
template <int Pixels>
struct Totals {
  __m256i parts[Pixels][4];

  Totals() {
    for (auto& pixel : parts)
      for (__m256i& part : pixel) part = _mm256_setzero_si256();
  }

  [[gnu::always_inline]] void add(const WordSums<Pixels>& first, const WordSums<Pixels>& second) {
    for (int p = 0; p < Pixels; ++p) {
      add(parts[p][0], _mm256_unpacklo_epi16(first.low[p], second.low[p]));
      add(parts[p][1], _mm256_unpackhi_epi16(first.low[p], second.low[p]));
      add(parts[p][2], _mm256_unpacklo_epi16(first.high[p], second.high[p]));
      add(parts[p][3], _mm256_unpackhi_epi16(first.high[p], second.high[p]));
    }
  }

  // Every unpacking left the channels of the two halves of a vector apart.
  [[gnu::always_inline]] void store(int32_t* sums) const {
    for (int p = 0; p < Pixels; ++p) {
      auto* to = reinterpret_cast<__m256i*>(sums + p * tap_block);
      const __m256i* part = parts[p];
      _mm256_storeu_si256(to, _mm256_permute2x128_si256(part[0], part[1], 0x20));
      _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(part[2], part[3], 0x20));
      _mm256_storeu_si256(to + 2, _mm256_permute2x128_si256(part[0], part[1], 0x31));
      _mm256_storeu_si256(to + 3, _mm256_permute2x128_si256(part[2], part[3], 0x31));
    }
  }

 private:
  static void add(__m256i& part, __m256i words) {
    part = _mm256_add_epi32(part, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
  }
};

// Any number of pairs.
template <int Pixels>
struct AnySum {
  static void run(const TapBlock& block, const uint8_t* const* taps, int64_t at, int64_t stride, int32_t* sums) {
    Totals<Pixels> totals;
    for (int64_t pair = 0; pair < block.pairs;) {
      WordSums<Pixels> words[2];
      for (WordSums<Pixels>& part : words)
        for (const int64_t end = std::min(pair + block.pairs_per_sum, block.pairs); pair < end; ++pair)
          part.add_pair(block, pair, taps, at, stride);
      totals.add(words[0], words[1]);
    }
    totals.store(sums);
  }
};

// `Pairs` pairs, unrolled.
template <int Pixels, int Pairs, int PairsPerSum>
struct FixedSum {
  static void run(const TapBlock& block, const uint8_t* const* taps, int64_t at, int64_t stride, int32_t* sums) {
    Totals<Pixels> totals;
    add<0>(totals, block, taps, at, stride);
    totals.store(sums);
  }

 private:
  template <int First>
  [[gnu::always_inline]] static void add(Totals<Pixels>& totals, const TapBlock& block, const uint8_t* const* taps,
                                         int64_t at, int64_t stride) {
    constexpr int middle = std::min(First + PairsPerSum, Pairs), end = std::min(middle + PairsPerSum, Pairs);
    WordSums<Pixels> first, second;
    first.template add_pairs<First, middle>(block, taps, at, stride);
    second.template add_pairs<middle, end>(block, taps, at, stride);
    totals.add(first, second);
    if constexpr (end < Pairs) add<end>(totals, block, taps, at, stride);
  }
};

template <class Many, class One>
void sum_taps(const TapBlock& block, const uint8_t* const* taps, int64_t channel, int64_t pixels, int64_t stride,
              int32_t* sums) {
  int64_t p = 0;
  for (; p + 2 <= pixels; p += 2) Many::run(block, taps, channel + p * stride, stride, sums + p * tap_block);
  if (p < pixels) One::run(block, taps, channel + p * stride, stride, sums + p * tap_block);
}

using SumTaps = void (*)(const TapBlock&, const uint8_t* const*, int64_t, int64_t, int64_t, int32_t*);

// The function with the most pairs per sum that the block allows; they are given in falling order.
template <int Pairs, int... PairsPerSum>
SumTaps fixed_sum(int64_t pairs_per_sum) {
  SumTaps chosen = nullptr;
  ((chosen = !chosen && PairsPerSum <= pairs_per_sum
                 ? sum_taps<FixedSum<2, Pairs, PairsPerSum>, FixedSum<1, Pairs, PairsPerSum>>
                 : chosen),
   ...);
  return chosen;
}

SumTaps sum_for(const TapBlock& block) {
  constexpr int64_t pairs_3x3 = 5, pairs_5x5 = 13;
  if (block.pairs == pairs_3x3) return fixed_sum<pairs_3x3, 3, 2, 1>(block.pairs_per_sum);
  if (block.pairs == pairs_5x5) return fixed_sum<pairs_5x5, 7, 4, 2, 1>(block.pairs_per_sum);
  return sum_taps<AnySum<2>, AnySum<1>>;
}

}  // namespace

void sum_taps_avx2(const TapBlock& block, const uint8_t* const* taps, int64_t channel, int64_t pixels, int64_t stride,
                   int32_t* sums) {
  sum_for(block)(block, taps, channel, pixels, stride, sums);
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

void sum_taps_avx2(const TapBlock&, const uint8_t* const*, int64_t, int64_t, int64_t, int32_t*) {}

}  // namespace bittrue

#endif
