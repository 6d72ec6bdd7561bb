// The inner loops of the simulator, one set per instruction set path. Every path gives the same bits: integer sums are
// exact modulo 2^32, and float sums are vectorized across outputs, so each output keeps the device's order of
// summation.
#pragma once

#include <cstdint>
#include <string>

namespace bittrue::bm1684 {

constexpr int tile_rows = 4;
constexpr int tile_columns = 16;

// Parameters of element-wise integer operations on int8 and int16 values, which are held widened to 32 bits.
struct IntegerRule {
  int right_shift = 0;  // rounds half up
  int left_shift = 0;   // of the old result, before a multiply-accumulate
  int64_t low = 0, high = 0;
};

struct Kernels {
  const char* name;

  // sums[r][p] = sum over t of weights[t * 4 + r] * x[offsets[t] + p], in the order of t, for 16 columns p.
  void (*tile_f32)(const float* x, const int64_t* offsets, const float* weights, int64_t terms, float* sums);
  // The same for one row and any number of columns.
  void (*row_f32)(const float* x, const int64_t* offsets, const float* weights, int64_t terms, int64_t columns,
                  float* sums);
  void (*row_max_f32)(const float* x, const int64_t* offsets, int64_t terms, int64_t columns, float* result);

  // Pairs of 16-bit values: sums[r][p] = sum over t of the dot product of pair weights[t * 4 + r] and pair
  // x[offsets[t] + p], modulo 2^32; a pair is one 32-bit word, first value in the low half.
  void (*tile_pairs)(const int32_t* x, const int64_t* offsets, const int32_t* weights, int64_t terms, int32_t* sums);
  void (*row_pairs)(const int32_t* x, const int64_t* offsets, const int32_t* weights, int64_t terms, int64_t columns,
                    int32_t* sums);
  void (*row_max_i32)(const int32_t* x, const int64_t* offsets, int64_t terms, int64_t columns, int32_t* result);

  // values[i] = saturate(round((values[i] + bias) * 2^-right_shift)); the sum with the bias wraps, the rounding is
  // exact.
  void (*requantize)(int32_t* values, int64_t count, int32_t bias, const IntegerRule& rule);

  // Two batches out of words of four int8, and back. `first` is 0 or 2; a word gives two neighbours of the result.
  void (*load_int8)(const uint32_t* words, int64_t count, int first, bool is_signed, int32_t* values);
  void (*store_int8)(const int32_t* values, int64_t count, int first, bool both, uint32_t* words);
  void (*load_int16)(const uint32_t* words, int64_t count, bool is_signed, int32_t* values);
  void (*store_int16)(const int32_t* values, int64_t count, bool both, uint32_t* words);

  // Element-wise on widened integers; r is also the old result for mac.
  void (*mul)(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, const IntegerRule& rule);
  void (*mac)(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, const IntegerRule& rule);
  void (*add)(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, const IntegerRule& rule);
  void (*sub)(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, const IntegerRule& rule);
  void (*max)(const int32_t* a, const int32_t* b, int32_t* r, int64_t count);
  void (*min)(const int32_t* a, const int32_t* b, int32_t* r, int64_t count);
  // 16 bits, by the low 8 bits of b as a signed number: left (the low half of r is the wrapped result) or right,
  // arithmetic or logical.
  void (*shift16)(const int32_t* a, const int32_t* b, int32_t* r, int64_t count, bool arithmetic);

  // Element-wise on float32.
  void (*add_f32)(const float* a, const float* b, float* r, int64_t count);
  void (*sub_f32)(const float* a, const float* b, float* r, int64_t count);
  void (*mul_f32)(const float* a, const float* b, float* r, int64_t count);
  void (*mac_f32)(const float* a, const float* b, float* r, int64_t count);
  void (*max_f32)(const float* a, const float* b, float* r, int64_t count);
  void (*min_f32)(const float* a, const float* b, float* r, int64_t count);
  void (*divide_f32)(const float* a, const float* b, float* r, int64_t count);
  // r = p * x with p = ((c[n-1] * x + ..) + c[0]): the polynomial without its constant term.
  void (*taylor_f32)(const float* x, const float* coefficients, int64_t terms, float* r, int64_t count);
};

using FloatKernel = void (*)(const float* a, const float* b, float* r, int64_t count);

// The kernels of a path of kernels/path.h: "reference" and "generic" run portable loops, higher ones those of AVX2;
// "best" the fastest that this machine has. Throws DataError for paths that it has not.
const Kernels& kernels_of(const std::string& path);

const Kernels& generic_kernels();
#if defined(__x86_64__)
const Kernels& avx2_kernels();
#endif

}  // namespace bittrue::bm1684
