#include "kernels/gemm_i8/gemm_i8_words.h"

namespace bittrue {

std::unique_ptr<Op> make_kernel_gemm_i8_avx2(const NodeSpec& node) {
  return make_gemm_i8_words(node, word_gemm_avx2());
}

}  // namespace bittrue
