#include "kernels/table/byte_table.h"

#if defined(__x86_64__)

#include "kernels/avx512_intrinsics.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vbmi")

namespace bittrue {

bool ByteTable::has_vbmi() { return __builtin_cpu_supports("avx512vbmi"); }

// vpermi2b looks up the low seven bits of a byte in 128 entries.
void ByteTable::apply_vbmi(const uint8_t* x, int64_t count, uint8_t* y) const {
  constexpr int64_t vector = 64;
  __m512i parts[4];
  for (int i = 0; i < 4; ++i) parts[i] = _mm512_loadu_si512(entries_.data() + i * vector);
  for (int64_t i = 0; i < count; i += vector) {
    const __mmask64 inside = count - i < vector ? (uint64_t(1) << (count - i)) - 1 : ~uint64_t(0);
    const __m512i codes = _mm512_maskz_loadu_epi8(inside, x + i);
    const __m512i lower = _mm512_permutex2var_epi8(parts[0], codes, parts[1]);
    const __m512i upper = _mm512_permutex2var_epi8(parts[2], codes, parts[3]);
    const __m512i entries = _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), lower, upper);
    if (count - i < vector)
      _mm512_mask_storeu_epi8(y + i, inside, entries);
    else
      _mm512_storeu_si512(y + i, entries);
  }
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

bool ByteTable::has_vbmi() { return false; }
void ByteTable::apply_vbmi(const uint8_t*, int64_t, uint8_t*) const {}

}  // namespace bittrue

#endif
