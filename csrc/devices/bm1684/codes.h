// Codes of command fields. Source: public register definitions; the element layouts are measured.
#pragma once

#include <cstdint>

namespace bittrue::bm1684 {

enum class Task : uint32_t {
  conv = 0,
  depthwise = 1,
  matmul = 2,
  arithmetic = 3,
  lookup = 6,
  md_scalar = 8,
  md_sfu = 9,
  md_compare = 13
};

enum class Eu : uint32_t {
  mul = 0,
  mac = 1,
  add = 2,
  sub = 3,
  max = 4,
  min = 5,
  shift = 6,
  bit_and = 7,
  bit_or = 8,
  bit_xor = 9,
  select_gt = 10,
  select_eq = 11,
  divide = 12,
  taylor = 13,
  fp32_to_int = 14,
  rsqrt = 17,
  copy = 19,
  compare = 22,
  select = 23,
  compare_select = 24
};

enum class Precision : uint32_t { int8 = 0, fp16 = 1, fp32 = 2, int16 = 3, int32 = 4 };

enum class Direction : uint32_t { system_to_local = 0, local_to_system = 1, system_to_system = 2, local_to_local = 3 };

enum class Special : uint32_t { copy = 0, transpose_nc = 1, fill = 4 };

}  // namespace bittrue::bm1684
