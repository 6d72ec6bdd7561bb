// Sliding windows over padded inputs, arranged so that neighbouring outputs read neighbouring words.
//
// A plane of the padded input is split by the phase of its rows and columns modulo the stride. With outputs numbered
// p = oy * pitch + ox, tap (ky, kx) of output p is then word tap_offset(ky, kx) + p. Numbers with ox >= out_w are
// computed and dropped.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "devices/bm1684/operands.h"
#include "engine/errors.h"

namespace bittrue::bm1684 {

class WindowGrid {
 public:
  WindowGrid() = default;
  WindowGrid(const BdcCommand& c, int64_t kernel_h, int64_t kernel_w)
      : in_h_(c.opd0_h),
        in_w_(c.opd0_w),
        out_h_(c.res0_h),
        out_w_(c.res0_w),
        pad_top_(c.opd0_up_pad),
        pad_left_(c.opd0_lf_pad),
        stride_h_(c.res_op_y_str),
        stride_w_(c.res_op_x_str),
        dilation_h_(c.opd1_y_ins0 + 1),
        dilation_w_(c.opd1_x_ins0 + 1),
        spread_h_(c.opd0_y_ins0 + 1),
        spread_w_(c.opd0_x_ins0 + 1) {
    if (kernel_h < 1 || kernel_w < 1 || stride_h_ < 1 || stride_w_ < 1)
      throw DataError("a window of " + std::to_string(kernel_h) + "x" + std::to_string(kernel_w) + " with strides " +
                      std::to_string(stride_h_) + ", " + std::to_string(stride_w_));
    const int64_t padded_h = pad_top_ + (in_h_ - 1) * spread_h_ + 1 + c.opd0_dn_pad;
    const int64_t padded_w = pad_left_ + (in_w_ - 1) * spread_w_ + 1 + c.opd0_rt_pad;
    if ((out_h_ - 1) * stride_h_ + (kernel_h - 1) * dilation_h_ >= padded_h ||
        (out_w_ - 1) * stride_w_ + (kernel_w - 1) * dilation_w_ >= padded_w)
      not_implemented("windows that leave the padded input");
    if (kernel_h * kernel_w > largest_window)
      throw DataError("a window of " + std::to_string(kernel_h) + "x" + std::to_string(kernel_w));
    rows_ = out_h_ + (kernel_h - 1) * dilation_h_ / stride_h_;
    pitch_ = out_w_ + (kernel_w - 1) * dilation_w_ / stride_w_;
    if (rows_ * pitch_ > largest_plane)
      throw DataError("a padded plane of " + std::to_string(rows_ * pitch_) + " words");
    for (int64_t k = 0; k < kernel_h; ++k) add_phase(row_phases_, k * dilation_h_ % stride_h_);
    for (int64_t k = 0; k < kernel_w; ++k) add_phase(column_phases_, k * dilation_w_ % stride_w_);
  }

  int64_t out_w() const { return out_w_; }
  int64_t pitch() const { return pitch_; }
  int64_t positions() const { return (out_h_ - 1) * pitch_ + out_w_; }
  int64_t plane_words() const {
    return static_cast<int64_t>(row_phases_.size() * column_phases_.size()) * rows_ * pitch_;
  }

  int64_t tap_offset(int64_t ky, int64_t kx) const {
    const int64_t y = ky * dilation_h_, x = kx * dilation_w_;
    const int64_t phase = index_of(row_phases_, y % stride_h_) * static_cast<int64_t>(column_phases_.size()) +
                          index_of(column_phases_, x % stride_w_);
    return (phase * rows_ + y / stride_h_) * pitch_ + x / stride_w_;
  }

  // Fills a plane: `row(iy)` gives something callable with the column of an input row.
  template <class T, class Row>
  void fill(T* plane, T padding, const Row& row) const {
    for (const int64_t py : row_phases_)
      for (const int64_t px : column_phases_)
        for (int64_t r = 0; r < rows_; ++r, plane += pitch_) {
          const int64_t y = r * stride_h_ + py - pad_top_;
          if (y < 0 || y % spread_h_ || y / spread_h_ >= in_h_) {
            std::fill(plane, plane + pitch_, padding);
            continue;
          }
          fill_row(plane, padding, px - pad_left_, row(y / spread_h_));
        }
  }

  // Calls store(oy, ox, first, count) for the runs of real outputs among positions [begin, end).
  template <class Store>
  void runs(int64_t begin, int64_t end, const Store& store) const {
    for (int64_t p = begin; p < end;) {
      const int64_t ox = p % pitch_;
      const int64_t row_end = p - ox + pitch_;
      if (ox < out_w_) store(p / pitch_, ox, p - begin, std::min(end, p - ox + out_w_) - p);
      p = row_end;
    }
  }

 private:
  static constexpr int64_t largest_window = 1 << 16;
  static constexpr int64_t largest_plane = 1 << 24;

  static void add_phase(std::vector<int64_t>& phases, int64_t phase) {
    if (std::find(phases.begin(), phases.end(), phase) == phases.end()) phases.push_back(phase);
  }
  static int64_t index_of(const std::vector<int64_t>& phases, int64_t phase) {
    return std::find(phases.begin(), phases.end(), phase) - phases.begin();
  }

  // Word i of the row is column (first + i * stride) / spread of the input.
  template <class T, class Columns>
  void fill_row(T* words, T padding, int64_t first, const Columns& columns) const {
    if (spread_w_ == 1) {
      const int64_t begin = std::min(pitch_, first >= 0 ? 0 : (-first + stride_w_ - 1) / stride_w_);
      const int64_t last = in_w_ - 1 - first;  // largest multiple of the stride that is inside
      const int64_t end = std::max(begin, last < 0 ? 0 : std::min(pitch_, last / stride_w_ + 1));
      std::fill(words, words + begin, padding);
      if (stride_w_ == 1) {
        for (int64_t i = begin; i < end; ++i) words[i] = columns(first + i);
      } else {
        for (int64_t i = begin; i < end; ++i) words[i] = columns(first + i * stride_w_);
      }
      std::fill(words + end, words + pitch_, padding);
      return;
    }
    for (int64_t i = 0; i < pitch_; ++i) {
      const int64_t x = first + i * stride_w_;
      words[i] = x < 0 || x % spread_w_ || x / spread_w_ >= in_w_ ? padding : columns(x / spread_w_);
    }
  }

  int64_t in_h_ = 1, in_w_ = 1, out_h_ = 1, out_w_ = 1, pad_top_ = 0, pad_left_ = 0;
  int64_t stride_h_ = 1, stride_w_ = 1, dilation_h_ = 1, dilation_w_ = 1, spread_h_ = 1, spread_w_ = 1;
  int64_t rows_ = 1, pitch_ = 1;
  std::vector<int64_t> row_phases_, column_phases_;
};

// Kernels read up to this many words beyond the last position.
constexpr int64_t read_slack = tile_columns;

// What conv-like integer commands do with a sum: add the bias, shift, saturate. Unsigned if relu is set or every
// operand that is present is unsigned [measured].
inline IntegerRule integer_output(const BdcCommand& c, bool has_weights, bool has_bias, bool& is_signed) {
  is_signed = !c.opt_relu && (c.opt_opd0_sign || (has_weights && c.opt_opd1_sign) || (has_bias && c.opt_opd2_sign));
  IntegerRule rule;
  rule.right_shift = static_cast<int>(c.opt_right_shift);
  rule.low = is_signed ? -128 : 0;
  rule.high = is_signed ? 127 : 255;
  return rule;
}

inline int32_t widen8(uint8_t v, bool is_signed) { return is_signed ? int32_t(static_cast<int8_t>(v)) : int32_t(v); }

// The values of one batch and channel of a 4N tensor. Contiguous rows are read word by word, which compilers vectorize.
class Int8Columns {
 public:
  Int8Columns(const View& v, const uint8_t* local, int64_t n, int64_t c, bool is_signed)
      : base_(local + v.at(n - n % 4, c, 0, 0)),
        h_stride_(v.h_stride),
        w_stride_(v.w_stride),
        up_(static_cast<int>(24 - 8 * (n % 4))),
        is_signed_(is_signed) {}

  // Calls body(value) with value(iy, ix) -> int32_t.
  template <class Body>
  void visit(const Body& body) const {
    const uint8_t* base = base_;
    const int64_t h = h_stride_, w = w_stride_;
    const int up = up_;
    if (w == 4 && is_signed_)
      body([=](int64_t iy, int64_t ix) { return static_cast<int32_t>(word(base + iy * h + 4 * ix) << up) >> 24; });
    else if (w == 4)
      body([=](int64_t iy, int64_t ix) { return static_cast<int32_t>(word(base + iy * h + 4 * ix) << up >> 24); });
    else if (is_signed_)
      body([=](int64_t iy, int64_t ix) { return static_cast<int32_t>(word(base + iy * h + w * ix) << up) >> 24; });
    else
      body([=](int64_t iy, int64_t ix) { return static_cast<int32_t>(word(base + iy * h + w * ix) << up >> 24); });
  }

 private:
  static uint32_t word(const uint8_t* p) {
    uint32_t v;
    std::memcpy(&v, p, 4);
    return v;
  }

  const uint8_t* base_;
  int64_t h_stride_, w_stride_;
  int up_;
  bool is_signed_;
};

// A 16-bit bias value.
inline int32_t load_bias(const uint8_t* p, bool is_signed) {
  const auto v = static_cast<uint16_t>(p[0] | p[1] << 8);
  return is_signed ? int32_t(static_cast<int16_t>(v)) : int32_t(v);
}

inline int32_t make_pair(int32_t low, int32_t high) {
  return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xFFFFu) | static_cast<uint32_t>(high) << 16);
}

inline bool all_precisions(const BdcCommand& c, Precision p) {
  const auto code = static_cast<uint32_t>(p);
  return c.opt_res0_prec == code && c.opt_opd0_prec == code && c.opt_opd1_prec == code;
}

}  // namespace bittrue::bm1684
