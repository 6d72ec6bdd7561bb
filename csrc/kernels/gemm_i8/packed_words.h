// Weights of a matrix product as words (word_gemm.h), packed once when a model is loaded.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/gemm_i8/word_gemm.h"

namespace bittrue {

class PackedWords {
 public:
  // value(channel, k) is a weight less its zero point.
  template <class Value>
  PackedWords(const WordGemm& gemm, int64_t channels, int64_t K, const Value& value)
      : lanes_(gemm.lanes),
        k_words_((K + gemm.values_per_word - 1) / gemm.values_per_word),
        blocks_((channels + gemm.lanes - 1) / gemm.lanes),
        words_(static_cast<size_t>(blocks_ * k_words_ * lanes_)) {
    const int bits = 32 / gemm.values_per_word;
    const uint32_t mask = (uint32_t(1) << bits) - 1;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t k = 0; k < K; ++k) {
        const auto at = static_cast<size_t>((c / lanes_ * k_words_ + k / gemm.values_per_word) * lanes_ + c % lanes_);
        const auto place = static_cast<int>(k % gemm.values_per_word) * bits;
        words_[at] |= (static_cast<uint32_t>(value(c, k)) & mask) << place;
      }
  }

  int64_t k_words() const { return k_words_; }
  int64_t blocks() const { return blocks_; }
  int64_t block_stride() const { return k_words_ * lanes_; }
  // Words from k word `k` on of the block that holds `channel`, which comes first in every group of `lanes` words.
  const uint32_t* at(int64_t channel, int64_t k = 0) const {
    return words_.data() + (channel / lanes_ * k_words_ + k) * lanes_ + channel % lanes_;
  }

 private:
  int64_t lanes_, k_words_, blocks_;
  std::vector<uint32_t> words_;
};

}  // namespace bittrue
