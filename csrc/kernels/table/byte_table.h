// A function of one byte as a table of 256, looked up in vectors. Whatever an op computes from single 8-bit values
// becomes a table when it is loaded, filled by the reference arithmetic.
#pragma once

#include <array>
#include <cstdint>

#include "engine/tensor.h"

namespace bittrue {

class ByteTable {
 public:
  explicit ByteTable(const std::array<uint8_t, 256>& entries);

  // Whether every byte is its own entry.
  bool is_identity() const { return is_identity_; }

  // y[i] = entry x[i] for i < count. Needs AVX2.
  void apply(const uint8_t* x, int64_t count, uint8_t* y) const;
  // The same. Needs AVX-512 VBMI.
  void apply_vbmi(const uint8_t* x, int64_t count, uint8_t* y) const;
  static bool has_vbmi();

 private:
  std::array<uint8_t, 256> entries_;
  // Entries of 16 neighbouring bytes in a row. Rows 1..7 and 9..15 hold the difference (exclusive or) to the row
  // before.
  std::array<std::array<uint8_t, 16>, 16> rows_;
  bool is_identity_;
};

}  // namespace bittrue
