#include "kernels/conv_i8/conv_i8_words.h"

namespace bittrue {

std::unique_ptr<Op> make_kernel_conv_i8_avx512vnni(const NodeSpec& node) {
  return make_conv_i8_words(node, word_gemm_avx512vnni());
}

}  // namespace bittrue
