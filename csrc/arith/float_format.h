// Floating-point modes of a device: flush-to-zero and the rounding of stored values to a narrow format.
//
// Flush rule: a subnormal operand counts as zero of its sign; a result whose magnitude, rounded to 24 bits with an
// unlimited exponent, lies below 2^-126 becomes zero of its sign. This is the FTZ + DAZ mode of x86 processors, which
// sets it here; elsewhere add(), mul() and divide_real() flush by themselves.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

// BITTRUE_PORTABLE_FLUSH selects the explicit way on x86 as well, to test it.
#if defined(__x86_64__) && !defined(BITTRUE_PORTABLE_FLUSH)
#define BITTRUE_MXCSR 1
#include <xmmintrin.h>
#endif

namespace bittrue {

inline uint32_t float_bits(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}

inline float float_from_bits(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

// Zero of the same sign for a subnormal, else v. Looks at bits only, so it works in every processor mode.
inline float flush_subnormal(float v) {
  const uint32_t bits = float_bits(v);
  return float_from_bits((bits & 0x7F800000u) == 0 ? bits & 0x80000000u : bits);
}

// While alive, float operations of this thread flush (or do not), whatever the mode of the thread was before.
class FlushGuard {
 public:
#ifdef BITTRUE_MXCSR
  explicit FlushGuard(bool flush) : saved_(_mm_getcsr()) {
    _mm_setcsr(flush ? saved_ | flush_bits : saved_ & ~flush_bits);
    fence();
  }
  ~FlushGuard() {
    fence();
    _mm_setcsr(saved_);
  }
#else
  explicit FlushGuard(bool flush) : saved_(active()) { active() = flush; }
  ~FlushGuard() { active() = saved_; }
  static bool& active() {
    static thread_local bool flag = false;
    return flag;
  }
#endif
  FlushGuard(const FlushGuard&) = delete;
  FlushGuard& operator=(const FlushGuard&) = delete;

 private:
#ifdef BITTRUE_MXCSR
  static constexpr unsigned flush_bits = 0x8040;  // FTZ and DAZ
  // Keeps loads of operands and stores of results, and so the operations between them, inside the guarded region.
  static void fence() { __asm__ __volatile__("" ::: "memory"); }
  unsigned saved_;
#else
  bool saved_;
#endif
};

// One binary32 operation each, flushing if a FlushGuard says so.
#ifdef BITTRUE_MXCSR
inline float add(float a, float b) { return a + b; }
inline float sub(float a, float b) { return a - b; }
inline float mul(float a, float b) { return a * b; }
inline float divide_real(float a, float b) { return a / b; }
#else
inline float operand(float v) { return FlushGuard::active() ? flush_subnormal(v) : v; }
inline float flushed(float rounded, double nearly_exact) {
  constexpr double limit = 0x1p-126 - 0x1p-151;
  return FlushGuard::active() && std::fabs(nearly_exact) < limit ? std::copysign(0.0f, rounded) : rounded;
}
inline float add(float a, float b) {
  const float sum = operand(a) + operand(b);
  return FlushGuard::active() ? flush_subnormal(sum) : sum;
}
inline float sub(float a, float b) { return add(a, -b); }
inline float mul(float a, float b) {
  const float x = operand(a), y = operand(b);
  return flushed(x * y, double(x) * double(y));
}
inline float divide_real(float a, float b) {
  const float x = operand(a), y = operand(b);
  return flushed(x / y, double(x) / double(y));
}
#endif

// The maximum and minimum of BM1684: a NaN on the left is dropped, a NaN on the right is kept.
inline float max_of(float a, float b) { return a > b ? a : b; }
inline float min_of(float a, float b) { return a <= b ? a : b; }

enum class FloatFormat : uint8_t { float32, float16, bfloat16 };

inline float round_to_bfloat16(float v) {
  const uint32_t bits = float_bits(v);
  if (v != v) return v;
  return float_from_bits((bits + 0x7FFFu + (bits >> 16 & 1u)) & 0xFFFF0000u);
}

inline float round_to_float16(float v) {
  const uint32_t bits = float_bits(v);
  const uint32_t sign = bits & 0x80000000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude >= 0x7F800000u) return v;
  if (magnitude >= 0x477FF000u) return float_from_bits(sign | 0x7F800000u);  // 65520 and above
  if (magnitude >= 0x38800000u)
    return float_from_bits(sign | ((magnitude + 0xFFFu + (magnitude >> 13 & 1u)) & ~0x1FFFu));
  // Below 2^-14: multiples of 2^-24, rounded on the integer significand.
  const int exponent = static_cast<int>(magnitude >> 23);
  const int drop = 126 - exponent;  // bits of the significand below 2^-24
  if (exponent == 0 || drop > 24) return float_from_bits(sign);
  const uint32_t significand = (magnitude & 0x7FFFFFu) | 0x800000u;
  const uint32_t whole = significand >> drop;
  const uint32_t rest = significand - (whole << drop);
  const uint32_t half = 1u << (drop - 1);
  const uint32_t units = whole + (rest > half || (rest == half && (whole & 1u)) ? 1u : 0u);
  return float_from_bits(sign | float_bits(static_cast<float>(units) * 0x1p-24f));
}

inline float round_to(float v, FloatFormat format) {
  switch (format) {
    case FloatFormat::float32:
      return v;
    case FloatFormat::float16:
      return round_to_float16(v);
    case FloatFormat::bfloat16:
      return round_to_bfloat16(v);
  }
  return v;
}

// What all float ops of a device share: what happens to a value when it is read and when it is stored.
struct FloatMode {
  bool flush = false;
  FloatFormat format = FloatFormat::float32;

  bool plain() const { return !flush && format == FloatFormat::float32; }
  float read(float v) const { return round_to(flush ? flush_subnormal(v) : v, format); }
  float stored(float v) const { return read(v); }
};

}  // namespace bittrue
