// Weights of a matrix product, packed once: one row of 16-bit values less their zero point per output channel, rows in
// fours (missing rows are zero), row length a multiple of 8.
#pragma once

#include <cstdint>
#include <vector>

namespace bittrue {

struct PackedRows {
  int64_t rows = 0;
  int64_t K = 0;
  int64_t stride = 0;
  std::vector<int16_t> values;

  PackedRows(int64_t row_count, int64_t row_length)
      : rows(row_count),
        K(row_length),
        stride((row_length + 7) / 8 * 8),
        values(static_cast<size_t>((row_count + 3) / 4 * 4 * stride)) {}

  int16_t* row(int64_t r) { return values.data() + r * stride; }
  const int16_t* row(int64_t r) const { return values.data() + r * stride; }
};

}  // namespace bittrue
