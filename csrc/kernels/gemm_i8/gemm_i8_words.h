// MatMul with constant weights on the vector paths: every row of the left matrix is multiplied with vectors of columns.
#pragma once

#include <memory>

#include "engine/op.h"
#include "kernels/gemm_i8/word_gemm.h"

namespace bittrue {

// nullptr for nodes that the path cannot run exactly. `gemm` is nullptr where the build has no such path.
std::unique_ptr<Op> make_gemm_i8_words(const NodeSpec& node, const WordGemm* gemm);

}  // namespace bittrue
