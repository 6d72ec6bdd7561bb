#include "kernels/gemm_i8/small_pixels.h"

#include <algorithm>
#include <cstring>

#include "kernels/gemm_i8/tile_gemm.h"
#include "kernels/scratch.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

// Calls visit(word) for the words in which two neighbours add up to more than `limit`. Up to 31 bytes more are looked
// at.
template <class Visit>
void for_large_words(const uint8_t* values, int64_t length, int64_t limit, const Visit& visit) {
  const __m256i ones = _mm256_set1_epi8(1), most = _mm256_set1_epi16(static_cast<int16_t>(limit));
  for (int64_t i = 0; i < length; i += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i));
    const __m256i large = _mm256_cmpgt_epi16(_mm256_maddubs_epi16(bytes, ones), most);
    for (auto bits = static_cast<uint32_t>(_mm256_movemask_epi8(large)); bits != 0;) {
      const int word = __builtin_ctz(bits) / 4;
      bits &= ~(uint32_t(15) << 4 * word);
      visit(i / 4 + word);
    }
  }
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

namespace {

template <class Visit>
void for_large_words(const uint8_t*, int64_t, int64_t, const Visit&) {}

}  // namespace

}  // namespace bittrue

#endif

namespace bittrue {

namespace {

constexpr int64_t largest_part = 127;
constexpr int64_t many = 6;  // one word of so many is left out before a pixel is split

}  // namespace

void SmallPixels::take(const uint8_t* const* pixels, int64_t count, int64_t length, int64_t limit) {
  addresses_.assign(pixels, pixels + count);
  second_parts_.clear();
  words_.clear();
  limit = std::min<int64_t>(limit, 2 * UINT8_MAX);
  const int64_t words = (length + gemm_word_bytes - 1) / gemm_word_bytes, row = words * gemm_word_bytes;
  uint8_t* copies = scratch_bytes(ScratchUse::panel, 2 * count * row);
  for (int64_t p = 0; p < count; ++p) {
    const uint8_t* values = pixels[p];
    uint8_t *first = copies + 2 * p * row, *second = first + row;
    const size_t before = words_.size();
    for_large_words(values, length, limit, [&](int64_t word) {
      if (word >= words) return;  // beyond the pixel
      if (words_.size() == before) std::memcpy(first, values, static_cast<size_t>(row));
      Word& large = words_.emplace_back(Word{p, word, {}});
      std::memcpy(large.values, values + word * gemm_word_bytes, gemm_word_bytes);
      std::memset(first + word * gemm_word_bytes, 0, gemm_word_bytes);
    });
    const auto left_out = static_cast<int64_t>(words_.size() - before);
    if (left_out == 0) continue;
    addresses_[static_cast<size_t>(p)] = first;
    if (left_out * many <= words) continue;
    words_.resize(before);
    for (int64_t i = 0; i < row; ++i) {
      first[i] = static_cast<uint8_t>(std::min<int64_t>(values[i], largest_part));
      second[i] = static_cast<uint8_t>(values[i] - first[i]);
    }
    second_parts_.push_back(p);
    addresses_.push_back(second);
  }
}

}  // namespace bittrue
