// Depthwise convolution on AVX2. A plane is widened to 16 bits with its padding; vpmaddwd then takes two neighbouring
// taps of a row at once: loaded at even offsets it gives the outputs 0, 2, 4, .., at odd offsets the outputs 1, 3, 5,
// .. With stride 2 the even ones are all there are.
#include <algorithm>
#include <cstring>

#include "engine/stage_attributes.h"
#include "kernels/conv_i8/padded_image.h"
#include "kernels/gemm_i8/word_operands.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"
#include "ops/window.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

struct TapRows {
  const int32_t* pairs;  // [kh][pairs of taps], the second tap of a last pair may be zero
  int kh, row_pairs;
  int64_t row_stride;  // between the rows of two taps
};

__m256i load16(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Widens n bytes, and writes zeros up to the next multiple of 16. `readable` bytes may be read.
void widen_row(const uint8_t* x, int64_t n, int64_t readable, bool is_signed, int16_t zero_point, int16_t* to) {
  const __m256i zero = _mm256_set1_epi16(zero_point);
  const __m256i lane = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int64_t i = 0; i < n; i += 16) {
    uint8_t copy[16] = {};
    const uint8_t* from = x + i;
    if (i + 16 > readable) {
      std::memcpy(copy, from, static_cast<size_t>(readable - i));
      from = copy;
    }
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    __m256i wide = _mm256_sub_epi16(is_signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes), zero);
    if (i + 16 > n)
      wide = _mm256_and_si256(wide, _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<int16_t>(n - i)), lane));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), wide);
  }
}

// `Rows` and `Pairs` are the sizes of the taps, or 0 for any.
template <int Rows, int Pairs>
void sums_stride1(const TapRows& taps, const int16_t* x, int64_t count, int32_t* sums) {
  const int rows = Rows ? Rows : taps.kh, pairs = Pairs ? Pairs : taps.row_pairs;
  for (int64_t i = 0; i < count; i += 16) {
    __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
#pragma GCC unroll 5
    for (int ky = 0; ky < rows; ++ky) {
      const int16_t* row = x + i + ky * taps.row_stride;
#pragma GCC unroll 3
      for (int j = 0; j < pairs; ++j) {
        const __m256i w = _mm256_set1_epi32(taps.pairs[ky * pairs + j]);
        even = _mm256_add_epi32(even, _mm256_madd_epi16(load16(row + 2 * j), w));
        odd = _mm256_add_epi32(odd, _mm256_madd_epi16(load16(row + 2 * j + 1), w));
      }
    }
    const __m256i low = _mm256_unpacklo_epi32(even, odd), high = _mm256_unpackhi_epi32(even, odd);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + i), _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + i + 8), _mm256_permute2x128_si256(low, high, 0x31));
  }
}

template <int Rows, int Pairs>
void sums_stride2(const TapRows& taps, const int16_t* x, int64_t count, int32_t* sums) {
  const int rows = Rows ? Rows : taps.kh, pairs = Pairs ? Pairs : taps.row_pairs;
  for (int64_t i = 0; i < count; i += 8) {
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 5
    for (int ky = 0; ky < rows; ++ky) {
      const int16_t* row = x + 2 * i + ky * taps.row_stride;
#pragma GCC unroll 3
      for (int j = 0; j < pairs; ++j) {
        const __m256i w = _mm256_set1_epi32(taps.pairs[ky * pairs + j]);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load16(row + 2 * j), w));
      }
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + i), sum);
  }
}

void row_sums(const TapRows& taps, int64_t stride, const int16_t* x, int64_t count, int32_t* sums) {
  const bool three = taps.kh == 3 && taps.row_pairs == 2, five = taps.kh == 5 && taps.row_pairs == 3;
  if (stride == 1) {
    if (three) return sums_stride1<3, 2>(taps, x, count, sums);
    if (five) return sums_stride1<5, 3>(taps, x, count, sums);
    return sums_stride1<0, 0>(taps, x, count, sums);
  }
  if (three) return sums_stride2<3, 2>(taps, x, count, sums);
  if (five) return sums_stride2<5, 3>(taps, x, count, sums);
  sums_stride2<0, 0>(taps, x, count, sums);
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

constexpr int64_t sums_at_once = 2048;  // of one channel, so that they stay in the first-level cache
constexpr int64_t slack = 64;           // elements that the vectors may read or write too far

class DepthwiseI8Avx2 final : public Op {
 public:
  DepthwiseI8Avx2(const NodeSpec& node, const WordOperands& operands, std::vector<int32_t> pairs)
      : window_(read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]})),
        multiplicity_(node.outputs[0]->shape[1] / node.inputs[0]->shape[1]),
        x_zero_point_(static_cast<int16_t>(node.attributes.integer("x_zero_point", 0))),
        is_signed_(node.inputs[0]->dtype == DType::int8),
        image_(window_, node.inputs[0]->shape[1], node.inputs[0]->shape[2], node.inputs[0]->shape[3],
               node.outputs[0]->shape[2], node.outputs[0]->shape[3]),
        stage_(read_output_stage(node, node.outputs[0]->shape[1]), operands.bias, operands.largest,
               node.outputs[0]->dtype),
        pairs_(std::move(pairs)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t OC = out[0].dim(1), OH = out[0].dim(2), OW = out[0].dim(3), bytes = stage_.value_bytes();
    context.pool.parallel_for(out[0].dim(0) * OC, 65536 / (OH * OW) / 8 + 1, [&](int64_t begin, int64_t end) {
      int64_t filled = -1;
      int16_t* plane = scratch<int16_t>(ScratchUse::image, image_.plane() + slack);
      std::memset(plane, 0, static_cast<size_t>(image_.plane() + slack) * sizeof(int16_t));  // the padding stays zero
      for (int64_t i = begin; i < end; ++i) {
        const int64_t x_plane = i / multiplicity_;
        const int64_t x_bytes = image_.height * image_.width;
        if (x_plane != filled) fill(in[0].data + x_plane * x_bytes, in[0].elements() - x_plane * x_bytes, plane);
        filled = x_plane;
        one_plane(plane, i % OC, OH, OW, out[0].data + i * OH * OW * bytes);
      }
    });
  }

 private:
  // The zeros that a row writes beyond its end are padding, or are overwritten by the next row.
  void fill(const uint8_t* x, int64_t readable, int16_t* plane) const {
    const int64_t left = std::max<int64_t>(image_.pad_left, 0), skip = std::max<int64_t>(-image_.pad_left, 0);
    const int64_t size = std::min(image_.padded_width - left, image_.width - skip);
    if (size <= 0) return;
    for (int64_t py = 0; py < image_.padded_height; ++py) {
      const int64_t iy = py - image_.pad_top;
      if (iy < 0 || iy >= image_.height) continue;
      const int64_t from = iy * image_.width + skip;
      widen_row(x + from, size, readable - from, is_signed_, x_zero_point_, plane + py * image_.padded_width + left);
    }
  }

  void one_plane(const int16_t* plane, int64_t oc, int64_t OH, int64_t OW, uint8_t* y) const {
    const auto row_pairs = static_cast<int>((window_.kw + 1) / 2);
    const TapRows taps{pairs_.data() + oc * window_.kh * row_pairs, static_cast<int>(window_.kh), row_pairs,
                       window_.dilation_h * image_.padded_width};
    // With strides of 1 several rows are one run, whose outputs at the row ends are dropped.
    const bool flat = window_.stride_h == 1 && window_.stride_w == 1;
    const int64_t pitch = flat ? image_.padded_width : (OW + 7) / 8 * 8, bytes = stage_.value_bytes();
    const int64_t rows_at_once = std::max<int64_t>(1, sums_at_once / pitch);
    const int64_t largest = std::min(rows_at_once, OH) * pitch + slack;
    int32_t* sums = scratch<int32_t>(ScratchUse::sums, largest);
    uint8_t* values = scratch_bytes(ScratchUse::rows, largest * bytes);
    for (int64_t oy = 0; oy < OH; oy += rows_at_once) {
      const int64_t rows = std::min(rows_at_once, OH - oy), count = (rows - 1) * pitch + OW;
      const int16_t* from = plane + oy * window_.stride_h * image_.padded_width;
      if (flat) {
        row_sums(taps, 1, from, count, sums);
      } else {
        for (int64_t r = 0; r < rows; ++r)
          row_sums(taps, window_.stride_w, from + r * window_.stride_h * image_.padded_width, OW, sums + r * pitch);
      }
      uint8_t* to = y + oy * OW * bytes;
      if (pitch == OW) {
        stage_.apply_row(sums, count, oc, to);
        continue;
      }
      stage_.apply_row(sums, count, oc, values);
      copy_rows(values, pitch * bytes, OW * bytes, rows, (OH - oy) * OW * bytes, to);
    }
  }

  // Drops what lies between the rows. Whole chunks are copied where the next row, or a later one, mends the excess.
  static void copy_rows(const uint8_t* values, int64_t pitch, int64_t size, int64_t rows, int64_t room, uint8_t* to) {
    constexpr int64_t chunk = 16;
    for (int64_t r = 0; r < rows; ++r, values += pitch, to += size, room -= size) {
      if (size + chunk > room) {
        std::memcpy(to, values, static_cast<size_t>(size));
        continue;
      }
      for (int64_t i = 0; i < size; i += chunk) std::memcpy(to + i, values + i, chunk);
    }
  }

  Window window_;
  int64_t multiplicity_;
  int16_t x_zero_point_;
  bool is_signed_;
  PaddedImage image_;
  VectorStage stage_;
  std::vector<int32_t> pairs_;  // [channel][kh][pairs of taps]
};

}  // namespace

std::unique_ptr<Op> make_kernel_depthwise_i8_avx2(const NodeSpec& node) {
  const ConstTensor w = node.constant(1);
  if (!path_available("avx2") || !w.present() || w.elements() == 0 || node.outputs[0]->elements() == 0) return nullptr;
  const Window window = read_window(node, {w.dim(2), w.dim(3)});
  if (w.dim(1) != 1 || node.attributes.integer("group", 1) != node.inputs[0]->shape[1]) return nullptr;
  if (window.dilation_w != 1 || window.stride_w > 2) return nullptr;
  const std::vector<int64_t> w_zero_point = node.attributes.integers("w_zero_point", {0});
  const auto value = [&](int64_t oc, int64_t tap) {
    return load_int(w, oc * window.taps() + tap) - Requantizer::at(w_zero_point, oc);
  };
  const auto operands = word_operands(node, *word_gemm_avx2(), node.attributes.integer("x_zero_point", 0), w.dim(0),
                                      window.taps(), value);
  if (!operands) return nullptr;
  std::vector<int32_t> pairs;
  for (int64_t oc = 0; oc < w.dim(0); ++oc)
    for (int64_t ky = 0; ky < window.kh; ++ky)
      for (int64_t kx = 0; kx < window.kw; kx += 2) {
        const auto low = static_cast<uint16_t>(value(oc, ky * window.kw + kx));
        const auto high = static_cast<uint16_t>(kx + 1 < window.kw ? value(oc, ky * window.kw + kx + 1) : 0);
        pairs.push_back(static_cast<int32_t>(uint32_t(high) << 16 | low));
      }
  return std::make_unique<DepthwiseI8Avx2>(node, *operands, std::move(pairs));
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_depthwise_i8_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
