#include "devices/bm1684/tables.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "arith/float_format.h"

namespace bittrue::bm1684 {

namespace {

// Tables of indices that wrap at 256: positive up to 88, then unused, then negative from 153 (-103) on.
constexpr int last_positive = 88;
constexpr int first_negative = 153;

class Writer {
 public:
  explicit Writer(uint8_t* l2) : l2_(l2) {}
  void put(size_t offset, int index, float value) {
    std::memcpy(l2_ + offset + 4 * static_cast<size_t>(index), &value, sizeof value);
  }

 private:
  uint8_t* l2_;
};

}  // namespace

void write_l2_tables(uint8_t* l2) {
  const FlushGuard keep_subnormals(false);
  Writer table(l2);
  for (int i = 0; i < 256; ++i) {
    const bool used = i <= last_positive || i >= first_negative;
    const int whole = i <= last_positive ? i : i - 256;
    table.put(0x300000, i, used ? static_cast<float>(whole) : 0.0f);
    table.put(0x300400, i, used ? static_cast<float>(std::exp(double(whole))) : 0.0f);
    table.put(0x300800, i, static_cast<float>((i - 127) * std::log(2.0)));
    table.put(0x300F00, i, static_cast<float>(i));
    table.put(0x301300, i, static_cast<float>(i < 128 ? i : i - 256));
  }
  float taylor[64];
  taylor[0] = 1.0f;
  for (int k = 1; k < 64; ++k) taylor[k] = taylor[k - 1] / static_cast<float>(k + 1);
  float odd_product = 1.0f, even_product = 1.0f;  // 1*3*..*(2k-1) and 2*4*..*2k
  for (int k = 0; k < 64; ++k) {
    table.put(0x300C00, k, taylor[k]);
    table.put(0x300D00, k, (k % 2 ? -1.0f : 1.0f) / static_cast<float>(k + 1));
    table.put(0x300E00, k, 0.0f);
    table.put(0x301700, k, 0.0f);
  }
  for (int k = 0; k < 32; ++k) {
    if (k > 0) {
      odd_product *= static_cast<float>(2 * k - 1);
      even_product *= static_cast<float>(2 * k);
    }
    const float ratio = odd_product / even_product / static_cast<float>(2 * k + 1);
    // inf / inf: the sign of the NaN is that of the processor that made the table
    table.put(0x300E00, 2 * k, std::isnan(ratio) ? float_from_bits(0xFFC00000u) : ratio);
    if (2 * k < 64) table.put(0x301700, 2 * k, (k % 2 ? -1.0f : 1.0f) * taylor[2 * k]);
  }
  for (int i = 0; i < 2048; ++i) table.put(0x301800, i, static_cast<float>(i));
  for (int j = 0; j < 65536; ++j) {
    l2[0x303800 + j] = static_cast<uint8_t>(j % 256);
    l2[0x313800 + j] = static_cast<uint8_t>(j / 256);
  }
}

}  // namespace bittrue::bm1684
