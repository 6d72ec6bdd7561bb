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

// Whether two neighbours, from an even place on, add up to more than `limit`. Up to 31 bytes more are looked at.
bool exceeds(const uint8_t* values, int64_t length, int64_t limit) {
  const __m256i ones = _mm256_set1_epi8(1), most = _mm256_set1_epi16(static_cast<int16_t>(limit));
  __m256i beyond = _mm256_setzero_si256();
  for (int64_t i = 0; i < length; i += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i));
    beyond = _mm256_or_si256(beyond, _mm256_cmpgt_epi16(_mm256_maddubs_epi16(bytes, ones), most));
  }
  return !_mm256_testz_si256(beyond, beyond);
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

namespace {

bool exceeds(const uint8_t*, int64_t, int64_t) { return true; }

}  // namespace

}  // namespace bittrue

#endif

namespace bittrue {

namespace {

constexpr int64_t largest_part = 127;
constexpr int64_t many = 16;  // one word of so many is left out before a pixel is split

}  // namespace

void SmallPixels::take(const uint8_t* const* pixels, int64_t count, int64_t length, int64_t limit) {
  addresses_.assign(pixels, pixels + count);
  second_parts_.clear();
  words_.clear();
  limit = std::min<int64_t>(limit, 2 * UINT8_MAX);
  const int64_t words = (length + gemm_word_bytes - 1) / gemm_word_bytes, row = words * gemm_word_bytes;
  uint8_t* copies = scratch_bytes(ScratchUse::panel, 2 * count * row);
  for (int64_t p = 0; p < count; ++p) {
    if (!exceeds(pixels[p], length, limit)) continue;
    uint8_t *first = copies + 2 * p * row, *second = first + row;
    std::memset(first + row - gemm_word_bytes, 0, gemm_word_bytes);
    std::memcpy(first, pixels[p], static_cast<size_t>(length));
    addresses_[static_cast<size_t>(p)] = first;
    const size_t before = words_.size();
    for (int64_t w = 0; w < words; ++w) {
      uint8_t* v = first + w * gemm_word_bytes;
      if (v[0] + v[1] <= limit && v[2] + v[3] <= limit) continue;
      words_.push_back({p, w, {v[0], v[1], v[2], v[3]}});
      std::memset(v, 0, gemm_word_bytes);
    }
    if (static_cast<int64_t>(words_.size() - before) * many <= words) continue;
    words_.resize(before);
    for (int64_t i = 0; i < length; ++i) {
      first[i] = static_cast<uint8_t>(std::min<int64_t>(pixels[p][i], largest_part));
      second[i] = static_cast<uint8_t>(pixels[p][i] - first[i]);
    }
    std::memset(second + length, 0, static_cast<size_t>(row - length));
    second_parts_.push_back(p);
    addresses_.push_back(second);
  }
}

}  // namespace bittrue
