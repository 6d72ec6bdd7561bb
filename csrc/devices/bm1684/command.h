// Commands of BM1684: 1024 bits each, decoded into the fields of bdc_fields.def and gdma_fields.def.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace bittrue::bm1684 {

constexpr int words_per_command = 32;
using Words = std::array<uint32_t, words_per_command>;

template <int width>
using FieldType = std::conditional_t<(width > 32), uint64_t, uint32_t>;

// The compute engine.
struct BdcCommand {
#define BITTRUE_FIELD(name, bit, width) FieldType<width> name;
#include "devices/bm1684/bdc_fields.def"
};

// The memory mover.
struct GdmaCommand {
#define BITTRUE_FIELD(name, bit, width) FieldType<width> name;
#include "devices/bm1684/gdma_fields.def"
};

struct FieldInfo {
  const char* name;
  int bit;
  int width;
};

enum class Engine : uint8_t { bdc, gdma };

const std::vector<FieldInfo>& fields(Engine engine);

// Bits [bit, bit + width) of a command; bit b is bit b mod 32 of word b div 32.
uint64_t get_bits(const Words& words, int bit, int width);
void set_bits(Words& words, int bit, int width, uint64_t value);

BdcCommand decode_bdc(const Words& words);
GdmaCommand decode_gdma(const Words& words);

}  // namespace bittrue::bm1684
