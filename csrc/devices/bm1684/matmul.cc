// Task type 2, matrix multiplication. Rows are batches; columns are cut into sections, one a lane, aligned to 128
// bytes. int8 rows are not packed here. float32: two accumulators in turn over k, a0 + a1, then the bias [measured].
#include <array>
#include <cstring>

#include "devices/bm1684/window_grid.h"

namespace bittrue::bm1684 {

namespace {

View matrix_view(uint64_t address, int64_t bytes, int64_t rows, int64_t sections, int64_t width) {
  if (address % static_cast<uint64_t>(bytes))
    throw DataError("a matrix at " + hex(address) + ", which is not a multiple of its element size");
  View v;
  v.n = rows, v.c = sections, v.w = width;
  v.bytes = bytes;
  v.per_word = 1;
  v.c_stride = align_up(width * bytes, 128);
  const auto start_lane = static_cast<int64_t>(address % static_cast<uint64_t>(local_bytes)) / lane_bytes;
  v.n_stride = (start_lane + sections + lanes - 1) / lanes * v.c_stride;
  v.h_stride = width * bytes;
  v.w_stride = bytes;
  place_local(v, address);
  return v;
}

class MatMul : public Operation {
 public:
  MatMul(const BdcCommand& c, int64_t bytes, int64_t bias_bytes)
      : command_(c), has_bias_(c.tsk_opd_num == 3), width_(c.res0_w) {
    if (c.tsk_eu_typ != 0) not_implemented("matrix multiplication operation " + std::to_string(c.tsk_eu_typ));
    if (c.opt_opd0_const || c.opt_opd1_const || c.opt_opd2_const) not_implemented("matrix product with a constant");
    if (c.opd1_w > c.opd0_w) throw DataError("the last section of the left matrix is wider than the others");
    if (c.opt_left_tran) assume("opt_left_tran swaps the rows and the depth of the left matrix");
    const int64_t stored_rows = c.opd0_n;
    const int64_t stored_columns = (int64_t(c.opd0_c) - 1) * c.opd0_w + c.opd1_w;
    rows_ = c.opt_left_tran ? stored_columns : stored_rows;
    depth_ = c.opt_left_tran ? stored_rows : stored_columns;
    left_ = matrix_view(c.opd0_addr, bytes, stored_rows, c.opd0_c, c.opd0_w);
    if (rows_ < 1 || depth_ < 1) throw DataError("an empty matrix");
    right_ = matrix_view(c.opd1_addr, bytes, depth_, c.res0_c, width_);
    result_ = matrix_view(c.res0_addr, bytes, rows_, c.res0_c, width_);
    if (has_bias_) bias_ = matrix_view(c.opd2_addr, bias_bytes, 1, c.res0_c, width_);
  }

  int64_t macs() const override { return rows_ * depth_ * result_.c * width_; }

 protected:
  int64_t blocks() const { return (rows_ + tile_rows - 1) / tile_rows; }

  const uint8_t* left(const RunContext& context, int64_t row, int64_t k) const {
    const int64_t stored_row = command_.opt_left_tran ? k : row, column = command_.opt_left_tran ? row : k;
    return context.local() + left_.at(stored_row, column / left_.w, 0, column % left_.w);
  }

  void list(Element element, Element bias_element, Element result_element) {
    add_access("opd0", left_, element, false);
    add_access("opd1", right_, element, false);
    if (has_bias_) add_access("opd2", bias_, bias_element, false);
    add_access("res0", result_, result_element, true);
  }

  BdcCommand command_;
  bool has_bias_;
  int64_t width_, rows_ = 0, depth_ = 0;
  View left_, right_, result_, bias_;
};

class FloatMatMul : public MatMul {
 public:
  explicit FloatMatMul(const BdcCommand& c) : MatMul(c, 4, 4) {
    list(Element::float32, Element::float32, Element::float32);
    for (int64_t k = 0; k < depth_; ++k) turns_[static_cast<size_t>(k % 2)].push_back(k * right_.n_stride / 4);
  }

  int64_t scratch_bytes() const override { return 4 * rows_ * depth_; }

  void run(const RunContext& context) const override {
    auto* weights = reinterpret_cast<float*>(context.scratch);  // a row: its even elements, then its odd ones
    const int64_t even = (depth_ + 1) / 2;
    context.parallel(rows_, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t k = 0; k < depth_; ++k)
          std::memcpy(weights + r * depth_ + k % 2 * even + k / 2, left(context, r, k), 4);
    });
    constexpr int64_t block = 64;
    const int64_t parts = (width_ + block - 1) / block;
    context.parallel(result_.c * parts * rows_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t r = t % rows_, part = t / rows_ % parts, section = t / rows_ / parts;
        const int64_t first = part * block, columns = std::min(block, width_ - first);
        const auto* x = reinterpret_cast<const float*>(context.local() + right_.at(0, section, 0, first));
        float sums[2][block];
        const float* w = weights + r * depth_;
        context.kernels.row_f32(x, turns_[0].data(), w, even, columns, sums[0]);
        context.kernels.row_f32(x, turns_[1].data(), w + even, depth_ - even, columns, sums[1]);
        for (int64_t i = 0; i < columns; ++i) sums[0][i] += sums[1][i];
        if (has_bias_) {
          const auto* b = reinterpret_cast<const float*>(context.local() + bias_.at(0, section, 0, first));
          for (int64_t i = 0; i < columns; ++i) sums[0][i] += b[i];
        }
        std::memcpy(context.local() + result_.at(r, section, 0, first), sums[0], static_cast<size_t>(columns) * 4);
      }
    });
  }

 private:
  std::array<std::vector<int64_t>, 2> turns_;
};

class Int8MatMul : public MatMul {
 public:
  explicit Int8MatMul(const BdcCommand& c) : MatMul(c, 1, 2) {
    if (has_bias_ && c.opt_opd2_prec != static_cast<uint32_t>(Precision::int16))
      not_implemented("bias that is not int16");
    bool is_signed = false;
    rule_ = integer_output(c, true, has_bias_, is_signed);
    list(element_of(Precision::int8, c.opt_opd0_sign), element_of(Precision::int16, c.opt_opd2_sign),
         element_of(Precision::int8, is_signed));
    for (int64_t p = 0; p < pairs(); ++p) offsets_.push_back(p * pitch());
  }

  int64_t scratch_bytes() const override {
    return 4 * (result_.c * pairs() * pitch() + read_slack + blocks() * tile_rows * pairs());
  }

  void run(const RunContext& context) const override {
    auto* right = reinterpret_cast<int32_t*>(context.scratch);
    int32_t* weights = right + result_.c * pairs() * pitch() + read_slack;
    pack(context, right, weights);
    const int64_t tiles = pitch() / tile_columns;
    context.parallel(result_.c * tiles * blocks(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t block = t % blocks(), tile = t / blocks() % tiles, section = t / blocks() / tiles;
        int32_t sums[tile_rows * tile_columns];
        context.kernels.tile_pairs(right + section * pairs() * pitch() + tile * tile_columns, offsets_.data(),
                                   weights + block * pairs() * tile_rows, pairs(), sums);
        store(context, block, section, tile * tile_columns, sums);
      }
    });
  }

 private:
  int64_t pairs() const { return (depth_ + 1) / 2; }
  int64_t pitch() const { return align_up(width_, tile_columns); }

  void pack(const RunContext& context, int32_t* right, int32_t* weights) const {
    const bool left_signed = command_.opt_opd0_sign, right_signed = command_.opt_opd1_sign;
    context.parallel(result_.c * pairs(), 16, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t section = t / pairs(), k = t % pairs() * 2;
        const uint8_t* low = context.local() + right_.at(k, section, 0, 0);
        const uint8_t* high = k + 1 < depth_ ? context.local() + right_.at(k + 1, section, 0, 0) : nullptr;
        int32_t* to = right + t * pitch();
        for (int64_t i = 0; i < width_; ++i)
          to[i] = make_pair(widen8(low[i], right_signed), high ? widen8(high[i], right_signed) : 0);
        std::fill(to + width_, to + pitch(), 0);
      }
    });
    context.parallel(blocks() * tile_rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        int32_t* to = weights + r / tile_rows * pairs() * tile_rows + r % tile_rows;
        for (int64_t k = 0; k < depth_; k += 2, to += tile_rows) {
          const bool used = r < rows_;
          const int32_t low = used ? widen8(*left(context, r, k), left_signed) : 0;
          *to = make_pair(low, used && k + 1 < depth_ ? widen8(*left(context, r, k + 1), left_signed) : 0);
        }
      }
    });
  }

  void store(const RunContext& context, int64_t block, int64_t section, int64_t first, int32_t* sums) const {
    const int64_t columns = std::min<int64_t>(tile_columns, width_ - first);
    for (int64_t r = 0; r < tile_rows && block * tile_rows + r < rows_; ++r) {
      int32_t* row = sums + r * tile_columns;
      if (has_bias_)
        for (int64_t i = 0; i < columns; ++i) {
          const int32_t bias = load_bias(context.local() + bias_.at(0, section, 0, first + i), command_.opt_opd2_sign);
          row[i] = static_cast<int32_t>(static_cast<uint32_t>(row[i]) + static_cast<uint32_t>(bias));
        }
      context.kernels.requantize(row, columns, 0, rule_);
      uint8_t* out = context.local() + result_.at(block * tile_rows + r, section, 0, first);
      for (int64_t i = 0; i < columns; ++i) out[i] = static_cast<uint8_t>(row[i]);
    }
  }

  IntegerRule rule_;
  std::vector<int64_t> offsets_;
};

}  // namespace

std::unique_ptr<Operation> make_matmul(const BdcCommand& c) {
  if (all_precisions(c, Precision::int8)) return std::make_unique<Int8MatMul>(c);
  if (all_precisions(c, Precision::fp32)) return std::make_unique<FloatMatMul>(c);
  not_implemented("matrix product with precisions " + std::to_string(c.opt_res0_prec) + " <- " +
                  std::to_string(c.opt_opd0_prec) + ", " + std::to_string(c.opt_opd1_prec));
}

}  // namespace bittrue::bm1684
