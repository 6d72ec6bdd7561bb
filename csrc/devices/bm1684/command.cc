#include "devices/bm1684/command.h"

#include <cstddef>

namespace bittrue::bm1684 {

const std::vector<FieldInfo>& fields(Engine engine) {
#define BITTRUE_FIELD(name, bit, width) {#name, bit, width},
  static const std::vector<FieldInfo> bdc = {
#include "devices/bm1684/bdc_fields.def"
  };
#define BITTRUE_FIELD(name, bit, width) {#name, bit, width},
  static const std::vector<FieldInfo> gdma = {
#include "devices/bm1684/gdma_fields.def"
  };
  return engine == Engine::bdc ? bdc : gdma;
}

uint64_t get_bits(const Words& words, int bit, int width) {
  uint64_t value = 0;
  for (int i = 0; i < width; ++i) {
    const auto b = static_cast<size_t>(bit + i);
    value |= uint64_t(words[b / 32] >> (b % 32) & 1u) << i;
  }
  return value;
}

void set_bits(Words& words, int bit, int width, uint64_t value) {
  for (int i = 0; i < width; ++i) {
    const auto b = static_cast<size_t>(bit + i);
    const uint32_t mask = 1u << (b % 32);
    words[b / 32] = (value >> i & 1u) ? words[b / 32] | mask : words[b / 32] & ~mask;
  }
}

BdcCommand decode_bdc(const Words& words) {
  BdcCommand c;
#define BITTRUE_FIELD(name, bit, width) c.name = static_cast<FieldType<width>>(get_bits(words, bit, width));
#include "devices/bm1684/bdc_fields.def"
  return c;
}

GdmaCommand decode_gdma(const Words& words) {
  GdmaCommand c;
#define BITTRUE_FIELD(name, bit, width) c.name = static_cast<FieldType<width>>(get_bits(words, bit, width));
#include "devices/bm1684/gdma_fields.def"
  return c;
}

}  // namespace bittrue::bm1684
