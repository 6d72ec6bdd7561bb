// Convolution on the vector paths: strips of output pixels are interleaved into words (im2col) and multiplied with the
// packed weights of all output channels; the output stage takes the sums while they are in the cache.
#pragma once

#include <memory>

#include "engine/op.h"
#include "kernels/gemm_i8/word_gemm.h"

namespace bittrue {

// nullptr for nodes that the path cannot run exactly. `gemm` is nullptr where the build has no such path.
std::unique_ptr<Op> make_conv_i8_words(const NodeSpec& node, const WordGemm* gemm);

}  // namespace bittrue
