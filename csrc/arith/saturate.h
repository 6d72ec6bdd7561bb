// Saturation, wrapping and accumulator rules.
#pragma once

#include <cstdint>

namespace bittrue {

constexpr int64_t clamp(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : (v > hi ? hi : v); }

// v modulo 2^bits, read as a signed number of that width.
constexpr int64_t wrap(int64_t v, int bits) {
  const int unused = 64 - bits;
  return static_cast<int64_t>(static_cast<uint64_t>(v) << unused) >> unused;
}

// What an accumulator of finite width leaves of an exact sum. `sat32` is defined on the final sum, so that it does not
// depend on the order of summation.
enum class Accumulator : uint8_t { exact64, wrap32, sat32 };

constexpr int64_t accumulate(int64_t exact_sum, Accumulator rule) {
  switch (rule) {
    case Accumulator::exact64:
      return exact_sum;
    case Accumulator::wrap32:
      return wrap(exact_sum, 32);
    case Accumulator::sat32:
      return clamp(exact_sum, INT32_MIN, INT32_MAX);
  }
  return exact_sum;
}

}  // namespace bittrue
