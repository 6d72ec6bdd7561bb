// The loops behind kernels.h, included by one translation unit per instruction set, which compiles them for its
// machine. Everything has internal linkage and no function of another header is called, so no code of one path can leak
// into another.

namespace {

using bittrue::bm1684::IntegerRule;
using bittrue::bm1684::tile_columns;
using bittrue::bm1684::tile_rows;

// tile_f32 and tile_pairs are written with vectors of `vector_lanes` elements of the path.
typedef float FloatVector __attribute__((vector_size(4 * vector_lanes), aligned(4)));
typedef int32_t IntVector __attribute__((vector_size(4 * vector_lanes), aligned(4)));

void tile_f32(const float* x, const int64_t* offsets, const float* weights, int64_t terms, float* sums) {
  constexpr int columns = tile_columns / vector_lanes;
  FloatVector s[4][columns] = {};
  for (int64_t t = 0; t < terms; ++t) {
    const float* row = x + offsets[t];
    const float* w = weights + 4 * t;
    FloatVector v[columns];
#pragma GCC unroll 4
    for (int p = 0; p < columns; ++p) v[p] = *reinterpret_cast<const FloatVector*>(row + p * vector_lanes);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < columns; ++p) s[r][p] += v[p] * w[r];
    }
  }
  for (int r = 0; r < 4; ++r)
    for (int p = 0; p < columns; ++p)
      *reinterpret_cast<FloatVector*>(sums + r * tile_columns + p * vector_lanes) = s[r][p];
}

void row_f32(const float* x, const int64_t* offsets, const float* weights, int64_t terms, int64_t columns,
             float* sums) {
  constexpr int block = 4 * vector_lanes;
  int64_t p = 0;
  for (; p + block <= columns; p += block) {
    FloatVector s[4] = {};
    for (int64_t t = 0; t < terms; ++t) {
      const float* row = x + offsets[t] + p;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) s[i] += *reinterpret_cast<const FloatVector*>(row + i * vector_lanes) * weights[t];
    }
    for (int i = 0; i < 4; ++i) *reinterpret_cast<FloatVector*>(sums + p + i * vector_lanes) = s[i];
  }
  for (; p < columns; ++p) {
    float s = 0.0f;
    for (int64_t t = 0; t < terms; ++t) s += x[offsets[t] + p] * weights[t];
    sums[p] = s;
  }
}

void row_max_f32(const float* x, const int64_t* offsets, int64_t terms, int64_t columns, float* result) {
  for (int64_t p = 0; p < columns; ++p) result[p] = x[offsets[0] + p];
  for (int64_t t = 1; t < terms; ++t) {
    const float* row = x + offsets[t];
    for (int64_t p = 0; p < columns; ++p) result[p] = result[p] > row[p] ? result[p] : row[p];
  }
}

void tile_pairs(const int32_t* x, const int64_t* offsets, const int32_t* weights, int64_t terms, int32_t* sums) {
  constexpr int columns = tile_columns / vector_lanes;
  IntVector s[4][columns] = {};
  for (int64_t t = 0; t < terms; ++t) {
    const int32_t* row = x + offsets[t];
    const int32_t* w = weights + 4 * t;
    IntVector v[columns];
#pragma GCC unroll 4
    for (int p = 0; p < columns; ++p) v[p] = *reinterpret_cast<const IntVector*>(row + p * vector_lanes);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const IntVector b = w[r] - IntVector{};
#pragma GCC unroll 4
      for (int p = 0; p < columns; ++p) s[r][p] = add_pair_products(s[r][p], v[p], b);
    }
  }
  for (int r = 0; r < 4; ++r)
    for (int p = 0; p < columns; ++p)
      *reinterpret_cast<IntVector*>(sums + r * tile_columns + p * vector_lanes) = s[r][p];
}

void row_pairs(const int32_t* x, const int64_t* offsets, const int32_t* weights, int64_t terms, int64_t columns,
               int32_t* sums) {
  constexpr int block = 4 * vector_lanes;
  int64_t p = 0;
  for (; p + block <= columns; p += block) {
    IntVector s[4] = {};
    for (int64_t t = 0; t < terms; ++t) {
      const int32_t* row = x + offsets[t] + p;
      const IntVector w = weights[t] - IntVector{};
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i)
        s[i] = add_pair_products(s[i], *reinterpret_cast<const IntVector*>(row + i * vector_lanes), w);
    }
    for (int i = 0; i < 4; ++i) *reinterpret_cast<IntVector*>(sums + p + i * vector_lanes) = s[i];
  }
  for (; p < columns; ++p) {
    uint32_t s = 0;
    for (int64_t t = 0; t < terms; ++t) {
      const int32_t v = x[offsets[t] + p], w = weights[t];
      const int32_t low = (static_cast<int32_t>(static_cast<uint32_t>(v) << 16) >> 16) *
                          (static_cast<int32_t>(static_cast<uint32_t>(w) << 16) >> 16);
      s += static_cast<uint32_t>(low) + static_cast<uint32_t>((v >> 16) * (w >> 16));
    }
    sums[p] = static_cast<int32_t>(s);
  }
}

void row_max_i32(const int32_t* x, const int64_t* offsets, int64_t terms, int64_t columns, int32_t* result) {
  for (int64_t p = 0; p < columns; ++p) result[p] = x[offsets[0] + p];
  for (int64_t t = 1; t < terms; ++t) {
    const int32_t* row = x + offsets[t];
    for (int64_t p = 0; p < columns; ++p) result[p] = result[p] > row[p] ? result[p] : row[p];
  }
}

inline int32_t clip(int32_t v, int32_t low, int32_t high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

// floor((v + 2^(s-1)) / 2^s) without a sum that could overflow: the bit below the point decides.
inline int32_t round_half_up(int32_t v, int s) { return s == 0 ? v : (v >> s) + (v >> (s - 1) & 1); }

void requantize(int32_t* values, int64_t count, int32_t bias, const IntegerRule& rule) {
  const auto low = static_cast<int32_t>(rule.low), high = static_cast<int32_t>(rule.high);
  const int s = rule.right_shift;
  if (s == 0) {
    for (int64_t i = 0; i < count; ++i)
      values[i] = clip(static_cast<int32_t>(static_cast<uint32_t>(values[i]) + static_cast<uint32_t>(bias)), low, high);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const auto v = static_cast<int32_t>(static_cast<uint32_t>(values[i]) + static_cast<uint32_t>(bias));
    values[i] = clip((v >> s) + (v >> (s - 1) & 1), low, high);
  }
}

void load_int8(const uint32_t* words, int64_t count, int first, bool is_signed, int32_t* values) {
  const int at = 8 * first;
  if (is_signed) {
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t v = words[i] >> at;
      values[2 * i] = static_cast<int32_t>(v << 24) >> 24;
      values[2 * i + 1] = static_cast<int32_t>(v << 16) >> 24;
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t v = words[i] >> at;
      values[2 * i] = static_cast<int32_t>(v & 255u);
      values[2 * i + 1] = static_cast<int32_t>(v >> 8 & 255u);
    }
  }
}

void store_int8(const int32_t* values, int64_t count, int first, bool both, uint32_t* words) {
  const int at = 8 * first;
  const uint32_t keep = ~((both ? 0xFFFFu : 0xFFu) << at);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t low = static_cast<uint32_t>(values[2 * i]) & 255u;
    const uint32_t high = (static_cast<uint32_t>(values[2 * i + 1]) & 255u) << 8;
    words[i] = (words[i] & keep) | (((low | high) << at) & ~keep);
  }
}

void load_int16(const uint32_t* words, int64_t count, bool is_signed, int32_t* values) {
  if (is_signed) {
    for (int64_t i = 0; i < count; ++i) {
      values[2 * i] = static_cast<int32_t>(words[i] << 16) >> 16;
      values[2 * i + 1] = static_cast<int32_t>(words[i]) >> 16;
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      values[2 * i] = static_cast<int32_t>(words[i] & 0xFFFFu);
      values[2 * i + 1] = static_cast<int32_t>(words[i] >> 16);
    }
  }
}

void store_int16(const int32_t* values, int64_t count, bool both, uint32_t* words) {
  const uint32_t keep = both ? 0u : 0xFFFF0000u;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t low = static_cast<uint32_t>(values[2 * i]) & 0xFFFFu;
    const uint32_t high = static_cast<uint32_t>(values[2 * i + 1]) << 16;
    words[i] = (words[i] & keep) | ((low | high) & ~keep);
  }
}

void mul(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, const IntegerRule& rule) {
  const auto low = static_cast<int32_t>(rule.low), high = static_cast<int32_t>(rule.high);
  const int s = rule.right_shift;
  for (int64_t i = 0; i < count; ++i) r[i] = clip(round_half_up(a[i] * b[i], s), low, high);
}

void mac(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, const IntegerRule& rule) {
  const int s = rule.right_shift;
  if (rule.left_shift <= 14) {  // |r| < 2^16 and |a * b| < 2^16: the sum fits 32 bits
    const auto low = static_cast<int32_t>(rule.low), high = static_cast<int32_t>(rule.high);
    const int32_t factor = 1 << rule.left_shift;
    for (int64_t i = 0; i < count; ++i) r[i] = clip(round_half_up(r[i] * factor + a[i] * b[i], s), low, high);
    return;
  }
  const int64_t factor = int64_t(1) << rule.left_shift;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t sum = r[i] * factor + a[i] * b[i];
    const int64_t rounded = s == 0 ? sum : (sum >> s) + (sum >> (s - 1) & 1);
    r[i] = static_cast<int32_t>(rounded < rule.low ? rule.low : (rounded > rule.high ? rule.high : rounded));
  }
}

void add(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, const IntegerRule& rule) {
  const auto low = static_cast<int32_t>(rule.low), high = static_cast<int32_t>(rule.high);
  const int s = rule.right_shift;
  for (int64_t i = 0; i < count; ++i) r[i] = clip(round_half_up(a[i] + b[i], s), low, high);
}

void sub(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, const IntegerRule& rule) {
  const auto low = static_cast<int32_t>(rule.low), high = static_cast<int32_t>(rule.high);
  const int s = rule.right_shift;
  for (int64_t i = 0; i < count; ++i) r[i] = clip(round_half_up(a[i] - b[i], s), low, high);
}

void max(const int32_t* a, const int32_t* b, int32_t* r, int64_t count) {
  for (int64_t i = 0; i < count; ++i) r[i] = a[i] > b[i] ? a[i] : b[i];
}

void min(const int32_t* a, const int32_t* b, int32_t* r, int64_t count) {
  for (int64_t i = 0; i < count; ++i) r[i] = a[i] < b[i] ? a[i] : b[i];
}

void shift16(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, bool arithmetic) {
  const int sign = arithmetic ? 16 : 0;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t amount = static_cast<int32_t>(static_cast<uint32_t>(b[i]) << 24) >> 24;
    const int left = amount > 0 ? (amount > 31 ? 31 : amount) : 0;
    const int right = amount < 0 ? (amount < -31 ? 31 : -amount) : 0;
    const int32_t extended = static_cast<int32_t>((static_cast<uint32_t>(a[i]) & 0xFFFFu) << sign) >> sign;
    r[i] = static_cast<int32_t>(static_cast<uint32_t>(extended) << left) >> right;
  }
}

// Rows are equal or apart, never shifted against each other, so no iteration depends on another.
void add_f32(const float* a, const float* b, float* r, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) r[i] = a[i] + b[i];
}

void sub_f32(const float* a, const float* b, float* r, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) r[i] = a[i] - b[i];
}

void mul_f32(const float* a, const float* b, float* r, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) r[i] = a[i] * b[i];
}

void mac_f32(const float* a, const float* b, float* r, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) r[i] = r[i] + a[i] * b[i];
}

void max_f32(const float* a, const float* b, float* r, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) r[i] = a[i] > b[i] ? a[i] : b[i];
}

void min_f32(const float* a, const float* b, float* r, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) r[i] = a[i] <= b[i] ? a[i] : b[i];
}

// a / b as a times the square of 1/sqrt(|b|), with the sign of b (arithmetic of BM1684, function A5 of its rules).
void divide_f32(const float* a, const float* b, float* r, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, &b[i], 4);
    const uint32_t sign = bits & 0x80000000u, magnitude = bits & 0x7FFFFFFFu;
    float x, y;
    __builtin_memcpy(&x, &magnitude, 4);
    const uint32_t guess = 0x5F3759DFu - (magnitude >> 1);
    __builtin_memcpy(&y, &guess, 4);
    const float half = x * 0.5f;
    for (int k = 0; k < 3; ++k) y = y * (1.5f - half * y * y);
    const float square = y * y;
    uint32_t q;
    __builtin_memcpy(&q, &square, 4);
    q = (q & 0x7FFFFFFFu) | sign;
    float reciprocal;
    __builtin_memcpy(&reciprocal, &q, 4);
    r[i] = a[i] * reciprocal;
  }
}

void taylor_f32(const float* x, const float* coefficients, int64_t terms, float* r, int64_t count) {
  constexpr int block = 32;
  float p[block], v[block];
  for (int64_t i = 0; i < count; i += block) {
    const int64_t n = count - i < block ? count - i : block;
    for (int64_t j = 0; j < n; ++j) v[j] = x[i + j];
    for (int64_t j = n; j < block; ++j) v[j] = 0.0f;
    for (int j = 0; j < block; ++j) p[j] = 0.0f;
    for (int64_t k = terms; k-- > 0;)
      for (int j = 0; j < block; ++j) p[j] = p[j] * v[j] + coefficients[k];
    for (int64_t j = 0; j < n; ++j) r[i + j] = p[j] * v[j];
  }
}

constexpr bittrue::bm1684::Kernels kernel_table = {
    path_name,  tile_f32,   row_f32,     row_max_f32, tile_pairs, row_pairs, row_max_i32, requantize, load_int8,
    store_int8, load_int16, store_int16, mul,         mac,        add,       sub,         max,        min,
    shift16,    add_f32,    sub_f32,     mul_f32,     mac_f32,    max_f32,   min_f32,     divide_f32, taylor_f32};

}  // namespace
