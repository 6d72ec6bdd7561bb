// Task type 1, depthwise convolution and pooling. float32 sums use two accumulators in turn over the window in
// row-major order, a0 + a1, then the bias; averages multiply every term by the constant first [measured].
#include <array>
#include <cstring>
#include <limits>

#include "devices/bm1684/window_grid.h"

namespace bittrue::bm1684 {

namespace {

enum class Kind : uint8_t { depthwise, average, maximum };

Kind kind_of(const BdcCommand& c) {
  const auto eu = static_cast<Eu>(c.tsk_eu_typ);
  if (eu == Eu::max) return Kind::maximum;
  if (eu == Eu::mac) return c.opt_opd1_const ? Kind::average : Kind::depthwise;
  not_implemented("pooling operation " + std::to_string(c.tsk_eu_typ));
}

// A buffer of this thread; keeps its memory from command to command.
template <class T>
T* thread_buffer(size_t slot, int64_t count) {
  thread_local std::array<std::vector<T>, 3> buffers;
  std::vector<T>& b = buffers[slot];
  if (b.size() < static_cast<size_t>(count)) b.resize(static_cast<size_t>(count));
  return b.data();
}

class WindowOperation : public Operation {
 public:
  explicit WindowOperation(const BdcCommand& c)
      : command_(c), kind_(kind_of(c)), grid_(c, c.opd1_h, c.opd1_w), has_bias_(c.tsk_opd_num == 3) {
    if (c.opd0_y_ins0 || c.opd0_x_ins0) {
      if (kind_ != Kind::depthwise) not_implemented("pooling with zero insertion");
      // int8: a compiled network that uses it gives the vendor's bits.
      if (c.opt_opd0_prec != static_cast<uint32_t>(Precision::int8))
        assume("inserted zeros take part in the sums of a float depthwise convolution, as in a convolution");
    }
    if (c.opt_opd0_const) not_implemented("pooling of a constant");
    if (c.opt_kernel_rotate) not_implemented("rotated depthwise kernel");
    if (has_bias_ && kind_ != Kind::depthwise) not_implemented("pooling with three operands");
    const auto p = static_cast<Precision>(c.opt_opd0_prec);
    const Extent x_shape{c.res0_n, c.res0_c, c.opd0_h, c.opd0_w};
    const Extent y_shape{c.res0_n, c.res0_c, c.res0_h, c.res0_w};
    x_ = operand_view(c.opd0_addr, p, c.short_opd0_str, x_shape,
                      {c.opd0_n_str, c.opd0_c_str, c.opd0_h_str, c.opd0_w_str});
    y_ = operand_view(c.res0_addr, p, c.short_res0_str, y_shape,
                      {c.res0_n_str, c.res0_c_str, c.res0_h_str, c.res0_w_str});
    for (int64_t ky = 0; ky < c.opd1_h; ++ky)
      for (int64_t kx = 0; kx < c.opd1_w; ++kx) offsets_.push_back(grid_.tap_offset(ky, kx));
  }

  int64_t macs() const override { return kind_ == Kind::maximum ? 0 : y_.elements() * taps(); }

  void run(const RunContext& context) const override {
    // Batches of a packed word share words, and all their bytes are stored one by one.
    const int64_t grain = std::max<int64_t>(1, 16384 / (grid_.positions() * taps()));
    context.parallel(x_.n * x_.c, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) run_channel(context, t / x_.c, t % x_.c);
    });
  }

 protected:
  virtual void run_channel(const RunContext& context, int64_t n, int64_t c) const = 0;
  int64_t taps() const { return static_cast<int64_t>(offsets_.size()); }

  BdcCommand command_;
  Kind kind_;
  WindowGrid grid_;
  bool has_bias_;
  View x_, y_, w_, bias_;
  std::vector<int64_t> offsets_;
};

class Int8Window : public WindowOperation {
 public:
  explicit Int8Window(const BdcCommand& c) : WindowOperation(c) {
    bool is_signed = false;
    rule_ = integer_output(c, kind_ != Kind::maximum, has_bias_, is_signed);
    if (kind_ == Kind::maximum) rule_.right_shift = 0;
    add_access("opd0", x_, element_of(Precision::int8, c.opt_opd0_sign), false);
    if (kind_ == Kind::depthwise) {
      w_ = compact_view(c.opd1_addr, 1, x_.c, taps());
      add_access("opd1", w_, element_of(Precision::int8, c.opt_opd1_sign), false);
    }
    if (has_bias_) {
      if (c.opt_opd2_prec != static_cast<uint32_t>(Precision::int16)) not_implemented("bias that is not int16");
      bias_ = compact_view(c.opd2_addr, 2, x_.c, 1);
      add_access("opd2", bias_, element_of(Precision::int16, c.opt_opd2_sign), false);
    }
    add_access("res0", y_, element_of(Precision::int8, is_signed), true);
  }

 private:
  void run_channel(const RunContext& context, int64_t n, int64_t c) const override {
    const bool x_signed = command_.opt_opd0_sign, w_signed = command_.opt_opd1_sign;
    int32_t* plane = thread_buffer<int32_t>(0, grid_.plane_words() + read_slack);
    int32_t* sums = thread_buffer<int32_t>(1, grid_.positions());
    int32_t* weights = thread_buffer<int32_t>(2, taps());
    const int32_t padding = kind_ == Kind::maximum ? (x_signed ? -128 : 0) : 0;
    const Int8Columns columns(x_, context.local(), n, c, x_signed);
    columns.visit([&](const auto& value) {
      grid_.fill(plane, padding, [&](int64_t iy) { return [=](int64_t ix) { return value(iy, ix); }; });
    });
    int32_t bias = 0;
    if (kind_ == Kind::maximum) {
      context.kernels.row_max_i32(plane, offsets_.data(), taps(), grid_.positions(), sums);
    } else {
      const uint8_t* w = kind_ == Kind::depthwise ? context.local() + w_.at(0, c, 0, 0) : nullptr;
      for (int64_t t = 0; t < taps(); ++t)
        weights[t] = make_pair(widen8(w ? w[t] : static_cast<uint8_t>(command_.opd1_addr), w_signed), 0);
      if (has_bias_) bias = load_bias(context.local() + bias_.at(0, c, 0, 0), command_.opt_opd2_sign);
      context.kernels.row_pairs(plane, offsets_.data(), weights, taps(), grid_.positions(), sums);
    }
    context.kernels.requantize(sums, grid_.positions(), bias, rule_);
    grid_.runs(0, grid_.positions(), [&](int64_t oy, int64_t ox, int64_t first, int64_t count) {
      uint8_t* out = context.local() + y_.at(n, c, oy, ox);
      for (int64_t i = 0; i < count; ++i) out[i * y_.w_stride] = static_cast<uint8_t>(sums[first + i]);
    });
  }

  IntegerRule rule_;
};

class FloatWindow : public WindowOperation {
 public:
  explicit FloatWindow(const BdcCommand& c) : WindowOperation(c) {
    add_access("opd0", x_, Element::float32, false);
    if (kind_ == Kind::depthwise) {
      w_ = compact_view(c.opd1_addr, 4, x_.c, taps());
      add_access("opd1", w_, Element::float32, false);
    }
    if (has_bias_) {
      bias_ = compact_view(c.opd2_addr, 4, x_.c, 1);
      add_access("opd2", bias_, Element::float32, false);
    }
    add_access("res0", y_, Element::float32, true);
    for (size_t t = 0; t < offsets_.size(); ++t) turns_[t % 2].push_back(offsets_[t]);
  }

 private:
  void run_channel(const RunContext& context, int64_t n, int64_t c) const override {
    float* plane = thread_buffer<float>(0, grid_.plane_words() + read_slack);
    float* sums = thread_buffer<float>(1, 2 * grid_.positions());
    const uint8_t* x = context.local() + x_.at(n, c, 0, 0);
    const float padding = kind_ == Kind::maximum ? -std::numeric_limits<float>::infinity() : 0.0f;
    grid_.fill(plane, padding, [&](int64_t iy) {
      const uint8_t* row = x + iy * x_.h_stride;
      const int64_t w_stride = x_.w_stride;
      return [=](int64_t ix) {
        float v;
        std::memcpy(&v, row + ix * w_stride, 4);
        return v;
      };
    });
    const int64_t positions = grid_.positions();
    if (kind_ == Kind::maximum) {
      context.kernels.row_max_f32(plane, offsets_.data(), taps(), positions, sums);
    } else {
      sum(context, n, c, plane, sums);
    }
    grid_.runs(0, positions, [&](int64_t oy, int64_t ox, int64_t first, int64_t count) {
      uint8_t* out = context.local() + y_.at(n, c, oy, ox);
      for (int64_t i = 0; i < count; ++i) std::memcpy(out + i * y_.w_stride, sums + first + i, 4);
    });
  }

  void sum(const RunContext& context, int64_t, int64_t c, const float* plane, float* sums) const {
    const int64_t positions = grid_.positions();
    float* weights = thread_buffer<float>(2, taps() + 1);
    float* place[2] = {weights, weights + (taps() + 1) / 2};
    for (int64_t t = 0; t < taps(); ++t) {
      float w;
      if (kind_ == Kind::depthwise)
        std::memcpy(&w, context.local() + w_.at(0, c, 0, t), 4);
      else
        w = float_from_bits(command_.opd1_addr);
      *place[t % 2]++ = w;
    }
    for (size_t turn = 0; turn < 2; ++turn)
      context.kernels.row_f32(plane, turns_[turn].data(), weights + (turn ? (taps() + 1) / 2 : 0),
                              static_cast<int64_t>(turns_[turn].size()), positions,
                              sums + static_cast<int64_t>(turn) * positions);
    for (int64_t i = 0; i < positions; ++i) sums[i] += sums[positions + i];
    if (has_bias_) {
      float bias;
      std::memcpy(&bias, context.local() + bias_.at(0, c, 0, 0), 4);
      for (int64_t i = 0; i < positions; ++i) sums[i] += bias;
    }
  }

  std::array<std::vector<int64_t>, 2> turns_;
};

}  // namespace

std::unique_ptr<Operation> make_window(const BdcCommand& c) {
  if (all_precisions(c, Precision::int8)) return std::make_unique<Int8Window>(c);
  if (all_precisions(c, Precision::fp32)) return std::make_unique<FloatWindow>(c);
  not_implemented("pooling with precisions " + std::to_string(c.opt_res0_prec) + " <- " +
                  std::to_string(c.opt_opd0_prec) + ", " + std::to_string(c.opt_opd1_prec));
}

}  // namespace bittrue::bm1684
