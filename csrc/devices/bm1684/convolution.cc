// Task type 0, convolution. int8: exact sums modulo 2^32, then bias, shift and saturation. float32: steps run over
// kh, kw and pairs of input channels; even and odd channels have two accumulators each, used in turn; the result is
// (even0 + even1) + (odd0 + odd1), then the bias [measured].
#include <array>
#include <cstring>

#include "devices/bm1684/window_grid.h"

namespace bittrue::bm1684 {

namespace {

constexpr int64_t largest_sum = 1 << 22;
constexpr int64_t positions_per_task = 8 * tile_columns;

class Convolution : public Operation {
 public:
  Convolution(const BdcCommand& c, int64_t group_channels)
      : command_(c),
        grid_(c, c.opd1_h, c.opd1_w),
        outputs_(c.res0_c),
        inputs_(c.opd0_c),
        has_bias_(c.tsk_opd_num == 3) {
    if (c.tsk_eu_typ != 0) not_implemented("convolution operation " + std::to_string(c.tsk_eu_typ));
    if (c.opt_opd0_const || c.opt_opd1_const || c.opt_opd2_const) not_implemented("convolution with a constant");
    if (c.short_opd0_str != 0 && c.short_opd0_str != 3) not_implemented("convolution input layout");
    const auto p = static_cast<Precision>(c.opt_opd0_prec);
    const Extent x_shape{c.res0_n, c.opd0_c, c.opd0_h, c.opd0_w};
    x_ = operand_view(c.opd0_addr, p, c.short_opd0_str, x_shape,
                      {c.opd0_n_str, c.opd0_c_str, c.opd0_h_str, c.opd0_w_str});
    const Extent y_shape{c.res0_n, c.res0_c, c.res0_h, c.res0_w};
    y_ = operand_view(c.res0_addr, p, c.short_res0_str, y_shape,
                      {c.res0_n_str, c.res0_c_str, c.res0_h_str, c.res0_w_str});
    place_weights(group_channels, element_bytes(p));
    planes_ = (inputs_ + 1) / 2;
    if (taps() * planes_ > largest_sum) throw DataError("sums of " + std::to_string(taps() * planes_) + " pairs");
  }

  int64_t macs() const override { return y_.elements() * inputs_ * command_.opd1_h * command_.opd1_w; }

  int64_t scratch_bytes() const override {
    return 4 * (x_.n * batch_words() + read_slack + blocks() * terms() * tile_rows);
  }

 protected:
  int64_t taps() const { return int64_t(command_.opd1_h) * command_.opd1_w; }
  int64_t blocks() const { return (outputs_ + tile_rows - 1) / tile_rows; }
  int64_t batch_words() const { return planes_ * words_per_plane_ * grid_.plane_words(); }
  // Steps of the loop over the window and pairs of channels, times the words of a pair.
  int64_t terms() const { return taps() * planes_ * words_per_plane_; }

  template <class T>
  T* planes(const RunContext& context) const {
    return reinterpret_cast<T*>(context.scratch);
  }
  template <class T>
  T* weights(const RunContext& context) const {
    return reinterpret_cast<T*>(context.scratch) + x_.n * batch_words() + read_slack;
  }

  // The group of channels at tap (ky, kx) of an output channel.
  const uint8_t* weight_group(const RunContext& context, int64_t oc, int64_t group, int64_t ky, int64_t kx) const {
    if (command_.opt_kernel_rotate) ky = command_.opd1_h - 1 - ky, kx = command_.opd1_w - 1 - kx;
    return context.local() + w_.at(group, oc, ky, kx);
  }

  // Calls tile(n, block, first position) for all tiles of all batches and blocks of outputs.
  template <class Tile>
  void for_tiles(const RunContext& context, const Tile& tile) const {
    const int64_t chunks = (grid_.positions() + positions_per_task - 1) / positions_per_task;
    context.parallel(x_.n * blocks() * chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t block = t % blocks(), chunk = t / blocks() % chunks, n = t / blocks() / chunks;
        const int64_t last = std::min(grid_.positions(), (chunk + 1) * positions_per_task);
        for (int64_t p = chunk * positions_per_task; p < last; p += tile_columns)
          tile(n, block, p, std::min(last, p + tile_columns));
      }
    });
  }

  BdcCommand command_;
  WindowGrid grid_;
  int64_t outputs_, inputs_;
  bool has_bias_;
  View x_, y_, w_, bias_;
  int64_t planes_ = 0;           // pairs of input channels
  int64_t words_per_plane_ = 1;  // 2 for float32

 private:
  // Weights lie in groups of 4 (int8) or 2 (float32) input channels; strides count groups.
  void place_weights(int64_t group_channels, int64_t bytes) {
    const BdcCommand& c = command_;
    const int64_t unit = group_channels * bytes;
    const int64_t groups = (inputs_ + group_channels - 1) / group_channels;
    const bool literal = c.short_opd1_str != 0;
    w_.n = groups, w_.c = outputs_, w_.h = c.opd1_h, w_.w = c.opd1_w;
    w_.bytes = unit;
    w_.n_stride = unit * (literal ? int64_t(c.opd1_n_str) : 1);
    w_.w_stride = unit * (literal ? int64_t(c.opd1_w_str) : groups);
    w_.h_stride = unit * (literal ? int64_t(c.opd1_h_str) : groups * c.opd1_w);
    w_.c_stride = unit * (literal ? int64_t(c.opd1_c_str) : groups * c.opd1_w * c.opd1_h);
    place_local(w_, c.opd1_addr);
  }
};

class Int8Convolution : public Convolution {
 public:
  explicit Int8Convolution(const BdcCommand& c) : Convolution(c, 4) {
    rule_ = integer_output(c, true, has_bias_, is_signed_);
    add_access("opd0", x_, element_of(Precision::int8, c.opt_opd0_sign), false);
    add_access("opd1", w_, Element::raw8, false);
    if (has_bias_) {
      if (c.opt_opd2_prec != static_cast<uint32_t>(Precision::int16)) not_implemented("bias that is not int16");
      bias_ = compact_view(c.opd2_addr, 2, outputs_, 1);
      add_access("opd2", bias_, element_of(Precision::int16, c.opt_opd2_sign), false);
    }
    add_access("res0", y_, element_of(Precision::int8, is_signed_), true);
    for (int64_t ky = 0; ky < c.opd1_h; ++ky)
      for (int64_t kx = 0; kx < c.opd1_w; ++kx)
        for (int64_t p = 0; p < planes_; ++p) offsets_.push_back(p * grid_.plane_words() + grid_.tap_offset(ky, kx));
  }

  void run(const RunContext& context) const override {
    pack_inputs(context);
    pack_weights(context);
    for_tiles(context, [&](int64_t n, int64_t block, int64_t p, int64_t end) {
      int32_t sums[tile_rows * tile_columns];
      context.kernels.tile_pairs(planes<int32_t>(context) + n * batch_words() + p, offsets_.data(),
                                 weights<int32_t>(context) + block * terms() * tile_rows, terms(), sums);
      for (int64_t r = 0; r < tile_rows && block * tile_rows + r < outputs_; ++r) {
        const int64_t oc = block * tile_rows + r;
        const int32_t bias = has_bias_ ? load_bias(context.local() + bias_.at(0, oc, 0, 0), command_.opt_opd2_sign) : 0;
        int32_t* row = sums + r * tile_columns;
        context.kernels.requantize(row, tile_columns, bias, rule_);
        grid_.runs(p, end, [&](int64_t oy, int64_t ox, int64_t first, int64_t count) {
          uint8_t* out = context.local() + y_.at(n, oc, oy, ox);
          for (int64_t i = 0; i < count; ++i) out[i * y_.w_stride] = static_cast<uint8_t>(row[first + i]);
        });
      }
    });
  }

 private:
  void pack_inputs(const RunContext& context) const {
    const bool is_signed = command_.opt_opd0_sign;
    context.parallel(x_.n * planes_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t n = t / planes_, plane = t % planes_;
        int32_t* words = planes<int32_t>(context) + t * grid_.plane_words();
        const bool two = 2 * plane + 1 < inputs_;
        Int8Columns(x_, context.local(), n, 2 * plane, is_signed).visit([&](const auto& low) {
          const auto fill = [&](const auto& high) {
            grid_.fill(words, 0,
                       [&](int64_t iy) { return [=](int64_t ix) { return make_pair(low(iy, ix), high(iy, ix)); }; });
          };
          if (!two) return fill([](int64_t, int64_t) { return 0; });
          Int8Columns(x_, context.local(), n, 2 * plane + 1, is_signed).visit(fill);
        });
      }
    });
  }

  void pack_weights(const RunContext& context) const {
    const bool is_signed = command_.opt_opd1_sign;
    context.parallel(blocks() * tile_rows, 4, [&](int64_t begin, int64_t end) {
      for (int64_t oc = begin; oc < end; ++oc) {
        int32_t* to = weights<int32_t>(context) + oc / tile_rows * terms() * tile_rows + oc % tile_rows;
        for (int64_t ky = 0; ky < command_.opd1_h; ++ky)
          for (int64_t kx = 0; kx < command_.opd1_w; ++kx)
            for (int64_t p = 0; p < planes_; ++p, to += tile_rows) {
              if (oc >= outputs_) {
                *to = 0;
                continue;
              }
              const uint8_t* w = weight_group(context, oc, p / 2, ky, kx) + p % 2 * 2;
              *to = make_pair(widen8(w[0], is_signed), widen8(w[1], is_signed));
            }
      }
    });
  }

  bool is_signed_ = false;
  IntegerRule rule_;
  std::vector<int64_t> offsets_;
};

class FloatConvolution : public Convolution {
 public:
  explicit FloatConvolution(const BdcCommand& c) : Convolution(c, 2) {
    words_per_plane_ = 2;
    add_access("opd0", x_, Element::float32, false);
    add_access("opd1", w_, Element::raw8, false);
    if (has_bias_) {
      bias_ = compact_view(c.opd2_addr, 4, outputs_, 1);
      add_access("opd2", bias_, Element::float32, false);
    }
    add_access("res0", y_, Element::float32, true);
    int64_t step = 0;
    for (int64_t ky = 0; ky < c.opd1_h; ++ky)
      for (int64_t kx = 0; kx < c.opd1_w; ++kx)
        for (int64_t p = 0; p < planes_; ++p, ++step)
          for (int64_t odd = 0; odd < 2; ++odd)
            offsets_[static_cast<size_t>(2 * odd + step % 2)].push_back((2 * p + odd) * grid_.plane_words() +
                                                                        grid_.tap_offset(ky, kx));
  }

  void run(const RunContext& context) const override {
    pack_inputs(context);
    pack_weights(context);
    for_tiles(context, [&](int64_t n, int64_t block, int64_t p, int64_t end) {
      float sums[4][tile_rows * tile_columns];
      const float* x = planes<float>(context) + n * batch_words() + p;
      const float* w = weights<float>(context) + block * terms() * tile_rows;
      for (size_t k = 0; k < 4; ++k) {
        const auto count = static_cast<int64_t>(offsets_[k].size());
        context.kernels.tile_f32(x, offsets_[k].data(), w, count, sums[k]);
        w += count * tile_rows;
      }
      for (int i = 0; i < tile_rows * tile_columns; ++i)
        sums[0][i] = (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i]);
      for (int64_t r = 0; r < tile_rows && block * tile_rows + r < outputs_; ++r) {
        const int64_t oc = block * tile_rows + r;
        float* row = sums[0] + r * tile_columns;
        if (has_bias_) {
          float bias;
          std::memcpy(&bias, context.local() + bias_.at(0, oc, 0, 0), 4);
          for (int i = 0; i < tile_columns; ++i) row[i] += bias;
        }
        grid_.runs(p, end, [&](int64_t oy, int64_t ox, int64_t first, int64_t count) {
          uint8_t* out = context.local() + y_.at(n, oc, oy, ox);
          if (y_.w_stride == 4)
            std::memcpy(out, row + first, static_cast<size_t>(count) * 4);
          else
            for (int64_t i = 0; i < count; ++i) std::memcpy(out + i * y_.w_stride, row + first + i, 4);
        });
      }
    });
  }

 private:
  // An odd number of channels is padded with a channel of zeros, which takes part in the sums.
  void pack_inputs(const RunContext& context) const {
    const int64_t channels = 2 * planes_;
    context.parallel(x_.n * channels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t n = t / channels, c = t % channels;
        float* words = planes<float>(context) + t * grid_.plane_words();
        if (c >= inputs_) {
          std::fill(words, words + grid_.plane_words(), 0.0f);
          continue;
        }
        const uint8_t* base = context.local() + x_.at(n, c, 0, 0);
        const auto fill = [&](auto w_stride) {
          grid_.fill(words, 0.0f, [&](int64_t iy) {
            const uint8_t* row = base + iy * x_.h_stride;
            return [=](int64_t ix) {
              float v;
              std::memcpy(&v, row + ix * w_stride, 4);
              return v;
            };
          });
        };
        if (x_.w_stride == 4)
          fill(std::integral_constant<int64_t, 4>());
        else
          fill(x_.w_stride);
      }
    });
  }

  void pack_weights(const RunContext& context) const {
    context.parallel(blocks() * tile_rows, 4, [&](int64_t begin, int64_t end) {
      for (int64_t oc = begin; oc < end; ++oc) {
        float* to[4];
        to[0] = weights<float>(context) + oc / tile_rows * terms() * tile_rows + oc % tile_rows;
        for (size_t k = 1; k < 4; ++k) to[k] = to[k - 1] + static_cast<int64_t>(offsets_[k - 1].size()) * tile_rows;
        size_t step = 0;
        for (int64_t ky = 0; ky < command_.opd1_h; ++ky)
          for (int64_t kx = 0; kx < command_.opd1_w; ++kx)
            for (int64_t p = 0; p < planes_; ++p, ++step) {
              float pair[2] = {0.0f, 0.0f};
              if (oc < outputs_) std::memcpy(pair, weight_group(context, oc, p, ky, kx), 8);
              for (size_t odd = 0; odd < 2; ++odd) {
                float*& place = to[2 * odd + step % 2];
                *place = pair[odd];
                place += tile_rows;
              }
            }
      }
    });
  }

  // Terms of the accumulators even0, even1, odd0, odd1.
  std::array<std::vector<int64_t>, 4> offsets_;
};

}  // namespace

std::unique_ptr<Operation> make_convolution(const BdcCommand& c) {
  if (all_precisions(c, Precision::int8)) return std::make_unique<Int8Convolution>(c);
  if (all_precisions(c, Precision::fp32)) return std::make_unique<FloatConvolution>(c);
  not_implemented("convolution with precisions " + std::to_string(c.opt_res0_prec) + " <- " +
                  std::to_string(c.opt_opd0_prec) + ", " + std::to_string(c.opt_opd1_prec));
}

}  // namespace bittrue::bm1684
