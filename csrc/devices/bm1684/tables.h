// Tables that lie in L2 before any command runs, computed from their formulas.
// Source: public runtime; every entry was compared with the published tables.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bittrue::bm1684 {

constexpr size_t l2_tables_begin = 0x300000;
constexpr size_t l2_tables_end = 0x323800;

void write_l2_tables(uint8_t* l2);

}  // namespace bittrue::bm1684
