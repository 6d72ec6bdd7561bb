// Rounding of exact values to integers. Every mode is defined on the exact quotient, so the result never depends on
// how the quotient was reached. Source: two's complement definition t = floor(v / 2^n), f = fraction.
#pragma once

#include <cmath>
#include <cstdint>

namespace bittrue {

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

enum class Rounding : uint8_t {
  half_up,        // ties toward plus infinity
  half_down,      // ties toward minus infinity
  half_away,      // ties away from zero
  half_even,      // ties to the even neighbour
  floor,          // toward minus infinity
  ceil,           // toward plus infinity
  toward_zero,    // drop the fraction
  add_half_trunc  // float only: add or subtract 0.5 in binary32, then drop the fraction (BM1684 fp32 -> int8)
};

// Whether a value with integer part `floor_part` and a nonzero comparison `vs_half` of its fraction to one half
// (-1 below, 0 tie, 1 above) and `has_fraction` moves up from its floor.
constexpr bool rounds_up(bool negative, bool floor_is_odd, int vs_half, bool has_fraction, Rounding mode) {
  switch (mode) {
    case Rounding::half_up:
      return vs_half >= 0;
    case Rounding::half_down:
      return vs_half > 0;
    case Rounding::half_away:
    case Rounding::add_half_trunc:
      return negative ? vs_half > 0 : vs_half >= 0;
    case Rounding::half_even:
      return vs_half > 0 || (vs_half == 0 && floor_is_odd);
    case Rounding::floor:
      return false;
    case Rounding::ceil:
      return has_fraction;
    case Rounding::toward_zero:
      return negative && has_fraction;
  }
  return false;
}

// round(v / 2^n). n < 0 shifts left (the caller guarantees that the result fits T); n >= bits acts as bits - 1.
template <class T>
constexpr T shift_right(T v, int n, Rounding mode) {
  if (n <= 0) return v * (T(1) << -n);
  constexpr int max_shift = static_cast<int>(sizeof(T) * 8) - 2;
  if (n > max_shift) n = max_shift;
  const T floor_part = v >> n;
  const T fraction = v - floor_part * (T(1) << n);
  const T half = T(1) << (n - 1);
  const int vs_half = fraction < half ? -1 : (fraction > half ? 1 : 0);
  return floor_part + (rounds_up(v < 0, (floor_part & 1) != 0, vs_half, fraction != 0, mode) ? 1 : 0);
}

// round(v / d) for d > 0.
template <class T>
constexpr T divide(T v, T d, Rounding mode) {
  T floor_part = v / d;
  if (v % d < 0) --floor_part;
  const T fraction = v - floor_part * d;
  const T rest = d - fraction;
  const int vs_half = fraction < rest ? -1 : (fraction > rest ? 1 : 0);
  return floor_part + (rounds_up(v < 0, (floor_part & 1) != 0, vs_half, fraction != 0, mode) ? 1 : 0);
}

// Where exact values saturate that leave every output type by far, so that adding a zero point cannot overflow.
constexpr int64_t far_outside = int64_t(1) << 62;

// round(v) saturated to +-far_outside; NaN gives the lowest value (what a float max(v, lower limit) yields when it
// picks the limit for NaN).
template <class F>
inline int64_t round_real(F v, Rounding mode) {
  if (mode == Rounding::add_half_trunc) {
    v = v > F(0) ? v + F(0.5) : v - F(0.5);
    mode = Rounding::toward_zero;
  }
  if (!(v >= F(-far_outside))) return -far_outside;
  if (v > F(far_outside)) return far_outside;
  // v - floor(v) may round (to one half for -0.49999997f), but where v has a fraction, floor(v) + 0.5 is exact.
  const F floor_part = std::floor(v);
  const F middle = floor_part + F(0.5);
  const bool has_fraction = v != floor_part;
  const int vs_half = !has_fraction || v < middle ? -1 : (v > middle ? 1 : 0);
  const auto whole = static_cast<int64_t>(floor_part);
  return whole + (rounds_up(v < F(0), (whole & 1) != 0, vs_half, has_fraction, mode) ? 1 : 0);
}

}  // namespace bittrue
