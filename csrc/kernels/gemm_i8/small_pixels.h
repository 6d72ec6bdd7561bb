// Keeps the values of pixels small enough for an instruction that adds two products to a 16-bit value which saturates.
// With weights of at most W in magnitude nothing saturates where two neighbouring values, of which the instruction
// makes a sum, add up to at most 32767 / W. A pixel where some do is multiplied without
// those words, whose products are added by themselves; a pixel where many do is multiplied in two parts, each of at
// most 128.
#pragma once

#include <cstdint>
#include <vector>

namespace bittrue {

class SmallPixels {
 public:
  struct Word {
    int64_t pixel, word;
    uint8_t values[4];
  };

  // Takes `count` pixels of `length` bytes each. `limit` is that of two neighbours, at least 255:
  // the products of two parts of 128 with -128 still fit.
  void take(const uint8_t* const* pixels, int64_t count, int64_t length, int64_t limit);

  // Addresses of the pixels, then of the second parts. Valid until the next `take` of the thread.
  const std::vector<const uint8_t*>& addresses() const { return addresses_; }
  // The pixel of each second part.
  const std::vector<int64_t>& second_parts() const { return second_parts_; }
  // The words that are left out.
  const std::vector<Word>& words() const { return words_; }

 private:
  std::vector<const uint8_t*> addresses_;
  std::vector<int64_t> second_parts_;
  std::vector<Word> words_;
};

}  // namespace bittrue
