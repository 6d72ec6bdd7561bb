#include "kernels/gemm_i8/tile_gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#pragma GCC push_options
#pragma GCC target("avx2,avxvnni")

#include "kernels/gemm_i8/lanes_256.h"
#include "kernels/gemm_i8/tile_gemm_loops.h"

namespace bittrue {

namespace {

struct AvxVnni : Lanes256 {
  static constexpr int group = 1;
};

struct Bytes : AvxVnni {
  template <int Words>
  static __m256i add(__m256i sum, const uint8_t* x, const __m256i (&w)[Words]) {
    return _mm256_dpbusd_avx_epi32(sum, broadcast(x), w[0]);
  }
};

struct Halves : AvxVnni {
  template <int Words>
  static __m256i add(__m256i sum, const uint8_t* x, const __m256i (&w)[Words]) {
    return _mm256_dpwssd_avx_epi32(sum, broadcast(x), w[0]);
  }
};

constexpr int tile_sums = 12, tile_vectors = 2;

}  // namespace

const std::vector<TileGemm>& tile_gemms_avxvnni() {
  static const std::vector<TileGemm> ways = {tile_gemm<Bytes, tile_sums, tile_vectors>("avxvnni", 4),
                                             tile_gemm<Halves, tile_sums, tile_vectors>("avxvnni", 2)};
  return ways;
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

const std::vector<TileGemm>& tile_gemms_avxvnni() {
  static const std::vector<TileGemm> none;
  return none;
}

}  // namespace bittrue

#endif
