// What every processor of the architecture can run: SSE2 on x86-64, plain C++ elsewhere.
#include "kernels/gemm_i8/tile_gemm.h"

#if defined(__SSE2__)

#include <emmintrin.h>

#include <cstring>

#include "kernels/gemm_i8/tile_gemm_loops.h"

namespace bittrue {

namespace {

struct Sse2Halves {
  using Vector = __m128i;
  static constexpr int lanes = 4;
  static constexpr int group = 1;

  static __m128i zero() { return _mm_setzero_si128(); }
  static __m128i load(const uint32_t* words) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(words)); }
  static void store(int32_t* to, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), v); }

  template <int Words>
  static __m128i add(__m128i sum, const uint8_t* x, const __m128i (&w)[Words]) {
    int32_t word;
    std::memcpy(&word, x, sizeof word);
    return _mm_add_epi32(sum, _mm_madd_epi16(_mm_set1_epi32(word), w[0]));
  }
};

constexpr int tile_sums = 8, tile_vectors = 2;

std::vector<TileGemm> baseline_ways() { return {tile_gemm<Sse2Halves, tile_sums, tile_vectors>("generic", 2)}; }

}  // namespace

}  // namespace bittrue

#else

#include "kernels/gemm_i8/tile_gemm_portable.h"

namespace bittrue {

namespace {

std::vector<TileGemm> baseline_ways() { return portable_ways<8, 2, 1>("generic"); }

}  // namespace

}  // namespace bittrue

#endif

namespace bittrue {

const std::vector<TileGemm>& tile_gemms_generic() {
  static const std::vector<TileGemm> ways = [] {
    std::vector<TileGemm> all = baseline_ways();
    for (TileGemm& way : all) way.scalar_stage = true;
    return all;
  }();
  return ways;
}

}  // namespace bittrue
