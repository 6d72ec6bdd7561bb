// Vectors of 256 bits for tile_gemm_loops.h. The including file is compiled for AVX2 or more.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace bittrue {

namespace {

struct Lanes256 {
  using Vector = __m256i;
  static constexpr int lanes = 8;

  static __m256i zero() { return _mm256_setzero_si256(); }
  static __m256i load(const uint32_t* words) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)); }
  static void store(int32_t* to, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v); }
  static __m256i broadcast(const uint8_t* word) {
    int32_t value;
    std::memcpy(&value, word, sizeof value);
    return _mm256_set1_epi32(value);
  }
};

}  // namespace

}  // namespace bittrue
