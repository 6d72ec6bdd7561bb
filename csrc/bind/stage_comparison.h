// Compares the vector form of an output stage with its scalar form on random sums, in numbers that Python lists cannot
// carry.
#pragma once

#include <cstdint>
#include <vector>

#include "arith/output_stage.h"
#include "engine/tensor.h"

namespace bittrue {

struct StageComparison {
  int64_t sums = 0;
  int64_t different_in_rows = 0, different_in_pixels = 0;  // values of the two entry points of VectorStage
  int64_t sums_in_tiles = 0, different_in_tiles = 0;       // by the stage of a tile (tile_gemm.h), if there is one
  bool vectorized = false;
};

// `pixels` sums of each channel. Sum plus bias lies in [-2^bits, 2^bits), where wrapping to 32 bits counts as inside;
// small magnitudes are as likely as large ones. `channels` are at most those of a tile.
StageComparison compare_stages(const OutputStage& stage, DType type, int64_t channels, int bits, uint64_t seed,
                               int64_t pixels);

}  // namespace bittrue
