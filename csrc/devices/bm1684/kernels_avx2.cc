#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>

#include "devices/bm1684/kernels.h"

#pragma GCC push_options
#pragma GCC target("avx2")

namespace {

constexpr const char* path_name = "avx2";
constexpr int vector_lanes = 8;
typedef int32_t Int32x8 __attribute__((vector_size(32), aligned(4)));

// vpmaddwd is exact but for the one case of four times -32768, which 8-bit operands cannot reach.
inline Int32x8 add_pair_products(Int32x8 sum, Int32x8 x, Int32x8 w) {
  const __m256i products = _mm256_madd_epi16(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(w));
  return reinterpret_cast<Int32x8>(_mm256_add_epi32(reinterpret_cast<__m256i>(sum), products));
}

}  // namespace

#include "devices/bm1684/kernel_loops.h"

namespace bittrue::bm1684 {

const Kernels& avx2_kernels() { return kernel_table; }

}  // namespace bittrue::bm1684

#pragma GCC pop_options

#endif
