// The tables of an op that treats every byte of its inputs by itself: what the reference op makes of all 256.
#pragma once

#include <vector>

#include "engine/op.h"
#include "kernels/table/byte_table.h"

namespace bittrue {

// One table for each of the first `inputs` inputs, whose results must follow each other along `axis`; the inputs after
// them are constants. Inputs and outputs have 8 bits, and one set of parameters each.
std::vector<ByteTable> reference_tables(const NodeSpec& node, size_t inputs, size_t axis);

}  // namespace bittrue
