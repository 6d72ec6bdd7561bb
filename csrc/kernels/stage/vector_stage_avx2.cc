// The output stage on eight sums at a time. Every step is exact for all int32 sums.
#include "kernels/stage/vector_stage.h"

#if defined(__x86_64__)

#include <cstring>

#include "kernels/stage/lanes_avx2.h"

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

using Kind = VectorStageRule::Kind;

// round(x / 2^n) of 32-bit lanes, 0 <= n <= 31: the floor moves up where the fraction exceeds a threshold.
struct Shift32 {
  __m256i n, mask, half;

  explicit Shift32(__m256i shift) : n(shift) {
    const __m256i one = _mm256_set1_epi32(1);
    mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, n), one);
    // n = 0 has no fraction; a threshold of at least 0 keeps the floor.
    const __m256i n_less_1 = _mm256_max_epi32(_mm256_sub_epi32(n, one), _mm256_setzero_si256());
    half = _mm256_sllv_epi32(one, n_less_1);
  }

  template <Rounding R>
  __m256i apply(__m256i x) const {
    const __m256i one = _mm256_set1_epi32(1), zero = _mm256_setzero_si256();
    const __m256i whole = _mm256_srav_epi32(x, n);
    if constexpr (R == Rounding::floor) return whole;
    const __m256i fraction = _mm256_and_si256(x, mask);
    __m256i threshold = zero;
    if constexpr (R == Rounding::half_up)
      threshold = _mm256_sub_epi32(half, one);
    else if constexpr (R == Rounding::half_down)
      threshold = half;
    else if constexpr (R == Rounding::half_away)
      threshold = _mm256_sub_epi32(_mm256_sub_epi32(half, one), _mm256_srai_epi32(x, 31));
    else if constexpr (R == Rounding::half_even)
      threshold = _mm256_sub_epi32(half, _mm256_and_si256(whole, one));
    else if constexpr (R == Rounding::toward_zero)
      threshold = _mm256_andnot_si256(_mm256_srai_epi32(x, 31), mask);
    return _mm256_sub_epi32(whole, _mm256_cmpgt_epi32(fraction, threshold));
  }
};

// round(x / 2^n) of 64-bit lanes with |x| <= 2^62, 1 <= n <= 62. There is no arithmetic 64-bit shift: x is raised by
// 2^63, shifted logically and lowered by 2^63 / 2^n.
struct Shift64 {
  __m256i n, raise, lower, half_less_1;

  template <Rounding R>
  void prepare(__m256i shift) {
    n = shift;
    const __m256i one = _mm256_set1_epi64x(1), sign = _mm256_set1_epi64x(INT64_MIN);
    const __m256i half = _mm256_sllv_epi64(one, _mm256_sub_epi64(n, one));
    half_less_1 = _mm256_sub_epi64(half, one);
    lower = _mm256_srlv_epi64(sign, n);
    __m256i before = _mm256_setzero_si256();
    if constexpr (R == Rounding::half_up || R == Rounding::half_away) before = half;
    if constexpr (R == Rounding::half_down || R == Rounding::half_even) before = half_less_1;
    if constexpr (R == Rounding::ceil) before = _mm256_add_epi64(half, half_less_1);
    raise = _mm256_add_epi64(before, sign);
  }

  template <Rounding R>
  __m256i apply(__m256i x) const {
    __m256i raised = _mm256_add_epi64(x, raise);
    if constexpr (R == Rounding::half_away) {
      raised = _mm256_add_epi64(raised, _mm256_cmpgt_epi64(_mm256_setzero_si256(), x));
    } else if constexpr (R == Rounding::toward_zero) {
      const __m256i almost_one = _mm256_add_epi64(_mm256_add_epi64(half_less_1, half_less_1), _mm256_set1_epi64x(1));
      const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), x);
      raised = _mm256_add_epi64(raised, _mm256_and_si256(negative, almost_one));
    } else if constexpr (R == Rounding::half_even) {
      const __m256i odd = _mm256_and_si256(_mm256_srlv_epi64(x, n), _mm256_set1_epi64x(1));
      raised = _mm256_add_epi64(raised, odd);
    }
    return _mm256_sub_epi64(_mm256_srlv_epi64(raised, n), lower);
  }
};

// round(v * multiplier / 2^n), even and odd lanes by themselves.
template <Rounding R, bool Wide>
struct Multiply64 {
  __m256i multiplier_even, multiplier_odd, low, high;
  Shift64 even, odd;

  Multiply64(__m256i multiplier, __m256i n, const VectorStageRule& rule)
      : multiplier_even(multiplier), multiplier_odd(_mm256_srli_epi64(multiplier, 32)) {
    even.prepare<R>(_mm256_and_si256(n, _mm256_set1_epi64x(0xffffffff)));
    odd.prepare<R>(_mm256_srli_epi64(n, 32));
    low = _mm256_set1_epi64x(rule.low);
    high = _mm256_set1_epi64x(rule.high);
  }

  __m256i limit(__m256i v) const {
    if constexpr (!Wide) return v;
    v = _mm256_blendv_epi8(v, low, _mm256_cmpgt_epi64(low, v));
    return _mm256_blendv_epi8(v, high, _mm256_cmpgt_epi64(v, high));
  }

  __m256i apply(__m256i v) const {
    const __m256i a = limit(even.apply<R>(_mm256_mul_epi32(v, multiplier_even)));
    const __m256i b = limit(odd.apply<R>(_mm256_mul_epi32(_mm256_srli_epi64(v, 32), multiplier_odd)));
    return _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xaa);
  }
};

// The requantization of eight lanes, parameters ready in registers.
template <Kind K, Rounding R>
struct Requant8;

template <Rounding R>
struct Requant8<Kind::none, R> {
  Requant8(__m256i, __m256i, __m256, const VectorStageRule&) {}
  __m256i apply(__m256i v) const { return v; }
};

template <Rounding R>
struct Requant8<Kind::shift, R> {
  Shift32 shift;
  Requant8(__m256i, __m256i n, __m256, const VectorStageRule&) : shift(n) {}
  __m256i apply(__m256i v) const { return shift.apply<R>(v); }
};

template <Rounding R>
struct Requant8<Kind::shift_add, R> {
  __m256i n;
  Requant8(__m256i, __m256i shift, __m256, const VectorStageRule&) : n(shift) {}
  __m256i apply(__m256i v) const { return _mm256_srav_epi32(v, n); }
};

template <Rounding R>
struct Requant8<Kind::multiply32, R> {
  __m256i multiplier;
  Shift32 shift;
  Requant8(__m256i m, __m256i n, __m256, const VectorStageRule&) : multiplier(m), shift(n) {}
  __m256i apply(__m256i v) const { return shift.apply<R>(_mm256_mullo_epi32(v, multiplier)); }
};

template <Rounding R>
struct Requant8<Kind::multiply64, R> {
  Multiply64<R, false> product;
  Requant8(__m256i m, __m256i n, __m256, const VectorStageRule& rule) : product(m, n, rule) {}
  __m256i apply(__m256i v) const { return product.apply(v); }
};

// floor(y / 2^n) with n >= 32 is floor of the upper half of y / 2^(n - 32).
template <Rounding R>
struct Requant8<Kind::multiply64_high, R> {
  __m256i multiplier_even, multiplier_odd, before_even, before_odd, n;
  Requant8(__m256i m, __m256i shift, __m256, const VectorStageRule&)
      : multiplier_even(m),
        multiplier_odd(_mm256_srli_epi64(m, 32)),
        before_even(before(_mm256_and_si256(shift, _mm256_set1_epi64x(0xffffffff)))),
        before_odd(before(_mm256_srli_epi64(shift, 32))),
        n(_mm256_sub_epi32(shift, _mm256_set1_epi32(32))) {}
  __m256i apply(__m256i v) const {
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(v, multiplier_even), before_even);
    const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(v, 32), multiplier_odd), before_odd);
    return _mm256_srav_epi32(_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa), n);
  }

 private:
  static __m256i before(__m256i shift) {
    const __m256i one = _mm256_set1_epi64x(1), half = _mm256_sllv_epi64(one, _mm256_sub_epi64(shift, one));
    if (R == Rounding::half_up) return half;
    if (R == Rounding::half_down) return _mm256_sub_epi64(half, one);
    if (R == Rounding::ceil) return _mm256_sub_epi64(_mm256_add_epi64(half, half), one);
    return _mm256_setzero_si256();
  }
};

// |v * multiplier| <= 2^62, so that adding one half to the upper half of it does not overflow.
template <Rounding R>
struct Requant8<Kind::multiply_high, R> {
  __m256i multiplier_even, multiplier_odd, n, half;
  Requant8(__m256i m, __m256i shift, __m256, const VectorStageRule&)
      : multiplier_even(m),
        multiplier_odd(_mm256_srli_epi64(m, 32)),
        n(shift),
        half(_mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_sub_epi32(shift, _mm256_set1_epi32(1)))) {}
  __m256i apply(__m256i v) const {
    const __m256i even = _mm256_mul_epi32(v, multiplier_even);
    const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(v, 32), multiplier_odd);
    const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    return _mm256_srav_epi32(_mm256_add_epi32(high, half), n);
  }
};

template <Rounding R>
struct Requant8<Kind::multiply64_wide, R> {
  Multiply64<R, true> product;
  Requant8(__m256i m, __m256i n, __m256, const VectorStageRule& rule) : product(m, n, rule) {}
  __m256i apply(__m256i v) const { return product.apply(v); }
};

template <Rounding R>
struct Requant8<Kind::double_round, R> {
  Multiply64<Rounding::half_up, false> high;
  Shift32 shift;
  Requant8(__m256i m, __m256i n, __m256, const VectorStageRule& rule)
      : high(m, _mm256_set1_epi32(31), rule), shift(n) {}
  __m256i apply(__m256i v) const { return shift.apply<R>(high.apply(v)); }
};

template <Rounding R>
struct Requant8<Kind::float_scale, R> {
  __m256 scale, low, high;
  Requant8(__m256i, __m256i, __m256 factor, const VectorStageRule& rule)
      : scale(factor),
        low(_mm256_set1_ps(static_cast<float>(rule.low))),
        high(_mm256_set1_ps(static_cast<float>(rule.high))) {}
  __m256i apply(__m256i v) const {
    const __m256 real = round_real_lanes<R>(_mm256_mul_ps(_mm256_cvtepi32_ps(v), scale));
    // max takes its second operand where the first is NaN, which is the lower limit.
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(real, low), high));
  }
};

// Clamps values before the zero point, adds it and stores them.
struct Finish {
  const VectorStageRule& rule;
  __m256i low, high, zero_point;
  ByteStore bytes;

  explicit Finish(const VectorStageRule& r)
      : rule(r),
        low(_mm256_set1_epi32(r.low)),
        high(_mm256_set1_epi32(r.high)),
        zero_point(_mm256_set1_epi32(r.zero_point)),
        bytes(r.zero_point, r.low + r.zero_point, r.high + r.zero_point, r.type == DType::int8) {}

  void store(Values32 values, uint8_t* out) const {
    if (rule.byte_store) return bytes.store(values, out);
    for (__m256i& v : values.v) v = _mm256_add_epi32(_mm256_min_epi32(_mm256_max_epi32(v, low), high), zero_point);
    store_block(rule.type, values, out);
  }
};

template <Kind K, Rounding R>
void row(const VectorStageRule& rule, const int32_t* sums, int64_t count, int64_t channel, uint8_t* out) {
  const auto c = static_cast<size_t>(channel);
  const Requant8<K, R> requant(_mm256_set1_epi32(rule.multiplier[c]), _mm256_set1_epi32(rule.shift[c]),
                               _mm256_set1_ps(K == Kind::float_scale ? rule.scale[c] : 1.0f), rule);
  const __m256i bias = _mm256_set1_epi32(rule.bias[c]);
  const Finish finish(rule);
  const int64_t bytes = info(rule.type).bits / 8;
  const auto block_of = [&](const int32_t* from, uint8_t* to) {
    Values32 values;
    for (int i = 0; i < 4; ++i) values.v[i] = requant.apply(_mm256_add_epi32(load8(from + 8 * i), bias));
    finish.store(values, to);
  };
  int64_t i = 0;
  for (; i + block <= count; i += block) block_of(sums + i, out + i * bytes);
  if (i == count) return;
  int32_t rest[block] = {};
  uint8_t rest_out[block * 4];
  std::memcpy(rest, sums + i, static_cast<size_t>(count - i) * sizeof(int32_t));
  block_of(rest, rest_out);
  std::memcpy(out + i * bytes, rest_out, static_cast<size_t>((count - i) * bytes));
}

constexpr int64_t channels_at_once = 16;

// Requantizes 16 channels from channel c on.
template <Kind K, Rounding R>
struct Requant16 {
  Requant8<K, R> low, high;
  __m256i bias_low, bias_high;

  Requant16(const VectorStageRule& rule, size_t c)
      : low(eight(rule, c)),
        high(eight(rule, c + 8)),
        bias_low(load8(&rule.bias[c])),
        bias_high(load8(&rule.bias[c + 8])) {}

  static Requant8<K, R> eight(const VectorStageRule& rule, size_t c) {
    return Requant8<K, R>(load8(&rule.multiplier[c]), load8(&rule.shift[c]),
                          K == Kind::float_scale ? _mm256_loadu_ps(&rule.scale[c]) : _mm256_setzero_ps(), rule);
  }

  Values32 two_pixels(const int32_t* first, const int32_t* second) const {
    return {{low.apply(_mm256_add_epi32(load8(first), bias_low)),
             high.apply(_mm256_add_epi32(load8(first + 8), bias_high)),
             low.apply(_mm256_add_epi32(load8(second), bias_low)),
             high.apply(_mm256_add_epi32(load8(second + 8), bias_high))}};
  }
};

// 16 channels of one byte at all pixels: the usual case, without a detour through memory.
template <Kind K, Rounding R>
void pixels_of_bytes(const Requant16<K, R> requant, const ByteStore bytes, const StagePixels at, const int32_t* sums,
                     uint8_t* out) {
  int64_t p = 0;
  for (; p + 2 <= at.pixels; p += 2, sums += 2 * at.sum_stride, out += 2 * at.out_stride) {
    const __m256i both = bytes.results(requant.two_pixels(sums, sums + at.sum_stride));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(both));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + at.out_stride), _mm256_extracti128_si256(both, 1));
  }
  if (p == at.pixels) return;
  const __m256i last = bytes.results(requant.two_pixels(sums, sums));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(last));
}

template <Kind K, Rounding R>
void pixels(const VectorStageRule& rule, const StagePixels& at, const int32_t* sums, uint8_t* out) {
  const Finish finish(rule);
  const int64_t bytes = info(rule.type).bits / 8;
  for (int64_t c = 0; c < at.channels; c += channels_at_once) {
    const Requant16<K, R> requant(rule, static_cast<size_t>(at.first_channel + c));
    const int64_t size = at.channels - c < channels_at_once ? at.channels - c : channels_at_once;
    if (size == channels_at_once && rule.byte_store) {
      pixels_of_bytes<K, R>(requant, finish.bytes, at, sums + c, out + c);
      continue;
    }
    for (int64_t p = 0; p < at.pixels; ++p) {
      const int32_t* from = sums + p * at.sum_stride + c;
      uint8_t packed[block * 4];
      finish.store(requant.two_pixels(from, from), packed);
      std::memcpy(out + p * at.out_stride + c * bytes, packed, static_cast<size_t>(size * bytes));
    }
  }
}

struct Functions {
  void (*row)(const VectorStageRule&, const int32_t*, int64_t, int64_t, uint8_t*);
  void (*pixels)(const VectorStageRule&, const StagePixels&, const int32_t*, uint8_t*);
};

template <Kind K, Rounding R>
constexpr Functions functions() {
  return {row<K, R>, pixels<K, R>};
}

template <Kind K>
Functions functions_of(Rounding rounding) {
  switch (rounding) {
    case Rounding::half_up:
      return functions<K, Rounding::half_up>();
    case Rounding::half_down:
      return functions<K, Rounding::half_down>();
    case Rounding::half_away:
      return functions<K, Rounding::half_away>();
    case Rounding::half_even:
      return functions<K, Rounding::half_even>();
    case Rounding::floor:
      return functions<K, Rounding::floor>();
    case Rounding::ceil:
      return functions<K, Rounding::ceil>();
    case Rounding::toward_zero:
      return functions<K, Rounding::toward_zero>();
    case Rounding::add_half_trunc:
      if constexpr (K == Kind::float_scale) return functions<K, Rounding::add_half_trunc>();
      break;
  }
  return {};
}

Functions functions_of(const VectorStageRule& rule) {
  switch (rule.kind) {
    case Kind::none:
      return functions<Kind::none, Rounding::floor>();
    case Kind::shift:
      return functions_of<Kind::shift>(rule.rounding);
    case Kind::shift_add:
      return functions<Kind::shift_add, Rounding::half_up>();
    case Kind::multiply32:
      return functions_of<Kind::multiply32>(rule.rounding);
    case Kind::multiply64:
      return functions_of<Kind::multiply64>(rule.rounding);
    case Kind::multiply64_high:
      return functions_of<Kind::multiply64_high>(rule.rounding);
    case Kind::multiply_high:
      return functions<Kind::multiply_high, Rounding::half_up>();
    case Kind::multiply64_wide:
      return functions_of<Kind::multiply64_wide>(rule.rounding);
    case Kind::double_round:
      return functions_of<Kind::double_round>(rule.rounding);
    case Kind::float_scale:
      return functions_of<Kind::float_scale>(rule.rounding);
    case Kind::scalar:
      break;
  }
  return {};
}

}  // namespace

bool stage_row_avx2(const VectorStageRule& rule, const int32_t* sums, int64_t count, int64_t channel, uint8_t* out) {
  const Functions f = functions_of(rule);
  if (f.row) f.row(rule, sums, count, channel, out);
  return f.row != nullptr;
}

bool stage_pixels_avx2(const VectorStageRule& rule, const StagePixels& at, const int32_t* sums, uint8_t* out) {
  const Functions f = functions_of(rule);
  if (f.pixels) f.pixels(rule, at, sums, out);
  return f.pixels != nullptr;
}

}  // namespace bittrue

#pragma GCC pop_options

#else

namespace bittrue {

bool stage_row_avx2(const VectorStageRule&, const int32_t*, int64_t, int64_t, uint8_t*) { return false; }
bool stage_pixels_avx2(const VectorStageRule&, const StagePixels&, const int32_t*, uint8_t*) { return false; }

}  // namespace bittrue

#endif
