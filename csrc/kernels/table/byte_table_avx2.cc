#include <cstring>

#include "kernels/table/byte_table.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

constexpr int64_t vector = 32;
constexpr int half = 8;  // rows of the bytes of one sign

using Rows = std::array<std::array<uint8_t, 16>, 16>;

// vpshufb looks up the low four bits of a byte, and gives 0 for negative bytes. Taking 16 away row by row, with
// saturation, a byte stays positive up to the row it belongs to; the differences up to there add up to its entry.
template <int Vectors>
void look_up(const Rows& rows, const uint8_t* x, uint8_t* y) {
  const __m256i row_size = _mm256_set1_epi8(16), sign = _mm256_set1_epi8(INT8_MIN);
  __m256i lower[Vectors], upper[Vectors], entries[Vectors];
  for (int i = 0; i < Vectors; ++i) {
    lower[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i * vector));
    upper[i] = _mm256_xor_si256(lower[i], sign);
    entries[i] = _mm256_setzero_si256();
  }
  const auto row = [&](int r) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r].data())));
  };
  for (int r = 0; r < half; ++r) {
    const __m256i of_lower = row(r), of_upper = row(half + r);
    for (int i = 0; i < Vectors; ++i) {
      entries[i] = _mm256_xor_si256(entries[i], _mm256_shuffle_epi8(of_lower, lower[i]));
      entries[i] = _mm256_xor_si256(entries[i], _mm256_shuffle_epi8(of_upper, upper[i]));
      lower[i] = _mm256_subs_epi8(lower[i], row_size);
      upper[i] = _mm256_subs_epi8(upper[i], row_size);
    }
  }
  for (int i = 0; i < Vectors; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i * vector), entries[i]);
}

}  // namespace

void ByteTable::apply(const uint8_t* x, int64_t count, uint8_t* y) const {
  constexpr int at_once = 2;
  int64_t i = 0;
  for (; i + at_once * vector <= count; i += at_once * vector) look_up<at_once>(rows_, x + i, y + i);
  for (; i + vector <= count; i += vector) look_up<1>(rows_, x + i, y + i);
  if (i == count) return;
  uint8_t rest[vector] = {};
  std::memcpy(rest, x + i, static_cast<size_t>(count - i));
  look_up<1>(rows_, rest, rest);
  std::memcpy(y + i, rest, static_cast<size_t>(count - i));
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

void ByteTable::apply(const uint8_t*, int64_t, uint8_t*) const {}

}  // namespace bittrue

#endif

namespace bittrue {

ByteTable::ByteTable(const std::array<uint8_t, 256>& entries) : entries_(entries), rows_(), is_identity_(true) {
  for (size_t code = 0; code < entries.size(); ++code) {
    is_identity_ = is_identity_ && entries[code] == code;
    const bool is_first_row = code % 128 < 16;
    rows_[code / 16][code % 16] = static_cast<uint8_t>(entries[code] ^ (is_first_row ? 0 : entries[code - 16]));
  }
}

}  // namespace bittrue
