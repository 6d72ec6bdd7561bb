// The output stage on 16 sums at a time, for the rules that the tiles of the products finish by themselves. The
// including file is compiled for AVX-512 F and BW.
#pragma once

#include "kernels/avx512_intrinsics.h"
#include "kernels/stage/vector_stage.h"

namespace bittrue {

namespace {

inline __m512i load16(const int32_t* p) { return _mm512_loadu_si512(p); }

// Whether Requant512 and ByteStore512 have the rule.
inline bool stages_in_registers(const VectorStageRule& rule) {
  using Kind = VectorStageRule::Kind;
  return rule.byte_store && (rule.kind == Kind::shift_add || rule.kind == Kind::multiply_high);
}

// Bias and requantization of 16 channels from `channel` on: shift_add or multiply_high.
template <VectorStageRule::Kind K>
struct Requant512 {
  static constexpr bool multiplies = K == VectorStageRule::Kind::multiply_high;
  __m512i bias, shift, half, multiplier_even, multiplier_odd;

  [[gnu::always_inline]] Requant512(const VectorStageRule& rule, int64_t channel) {
    const auto c = static_cast<size_t>(channel);
    bias = load16(&rule.bias[c]);
    shift = load16(&rule.shift[c]);
    if constexpr (multiplies) {
      const __m512i one = _mm512_set1_epi32(1);
      half = _mm512_sllv_epi32(one, _mm512_sub_epi32(shift, one));
      multiplier_even = load16(&rule.multiplier[c]);
      multiplier_odd = _mm512_srli_epi64(multiplier_even, 32);
    }
  }

  [[gnu::always_inline]] __m512i apply(__m512i sum) const {
    __m512i v = _mm512_add_epi32(sum, bias);
    if constexpr (multiplies) {
      const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(v, 32), multiplier_odd);
      const __m512i even = _mm512_mul_epi32(v, multiplier_even);
      // The upper halves of the products.
      v = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
      v = _mm512_add_epi32(v, half);
    }
    return _mm512_srav_epi32(v, shift);
  }
};

// As ByteStore of lanes_avx2.h.
struct ByteStore512 {
  __m512i zero_point, low, high, order;
  bool is_signed;

  explicit ByteStore512(const VectorStageRule& rule)
      : zero_point(_mm512_set1_epi16(static_cast<int16_t>(rule.zero_point))),
        low(_mm512_set1_epi8(static_cast<char>(rule.low + rule.zero_point))),
        high(_mm512_set1_epi8(static_cast<char>(rule.high + rule.zero_point))),
        order(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)),
        is_signed(rule.type == DType::int8) {}

  // The results of up to four vectors. Packing works in 128-bit quarters, each of which gets four of every vector.
  template <int Vectors>
  [[gnu::always_inline]] __m512i pack(const __m512i (&v)[Vectors]) const {
    const __m512i last = v[Vectors - 1];
    const __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(v[0], Vectors > 1 ? v[1] : last), zero_point);
    const __m512i b = Vectors > 2 ? _mm512_adds_epi16(_mm512_packs_epi32(v[2], last), zero_point) : a;
    if (is_signed) return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(a, b), low), high);
    return _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(a, b), low), high);
  }

  // Results of `pack` in the order of the vectors.
  [[gnu::always_inline]] __m512i in_order(__m512i packed) const { return _mm512_permutexvar_epi32(order, packed); }
};

// The first `count` of 16 * Vectors bytes.
template <int Vectors>
[[gnu::always_inline]] inline void store_bytes(__m512i bytes, uint8_t* out, int64_t count) {
  if (count < 16 * Vectors)
    _mm512_mask_storeu_epi8(out, (uint64_t(1) << count) - 1, bytes);
  else if constexpr (Vectors == 4)
    _mm512_storeu_si512(out, bytes);
  else if constexpr (Vectors == 1)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_castsi512_si128(bytes));
  else {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_castsi512_si256(bytes));
    if constexpr (Vectors == 3)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 32), _mm512_extracti32x4_epi32(bytes, 2));
  }
}

}  // namespace

}  // namespace bittrue
