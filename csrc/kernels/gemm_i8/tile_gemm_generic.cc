#include "kernels/gemm_i8/tile_gemm_portable.h"

namespace bittrue {

const std::vector<TileGemm>& tile_gemms_generic() {
  static const std::vector<TileGemm> ways = portable_ways<8, 2, 1>("generic");
  return ways;
}

}  // namespace bittrue
