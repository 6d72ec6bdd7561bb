// The memory mover: copies between device memory, L2 and the lanes, transposition of batches and channels, fills.
#include <algorithm>
#include <cstring>

#include "devices/bm1684/operands.h"
#include "engine/errors.h"

namespace bittrue::bm1684 {

namespace {

struct Format {
  int64_t bytes;
  Element element;
};

Format format_of(uint32_t code) {
  switch (code) {
    case 0:
      return {4, Element::float32};
    case 1:
      return {2, Element::int16};
    case 2:
      return {1, Element::uint8};
    case 3:
      return {1, Element::int8};
    case 4:
      return {2, Element::float16};
    default:
      not_implemented("GDMA data format " + std::to_string(code));
  }
}

bool source_is_local(Direction d) { return d == Direction::local_to_system || d == Direction::local_to_local; }
bool target_is_local(Direction d) { return d == Direction::system_to_local || d == Direction::local_to_local; }

// Walks a tensor in n, c, h, w order in runs of elements that lie side by side.
class Runs {
 public:
  explicit Runs(const View& v) : v_(v), unit_(v.w_stride == v.bytes ? v.w : 1) { start_row(); }

  int64_t available() const { return std::min(unit_ - (unit_ > 1 ? w_ : 0), v_.w - w_); }
  int64_t place() const { return row_ + w_ * v_.w_stride; }
  void advance(int64_t count) {
    w_ += count;
    if (w_ < v_.w) return;
    w_ = 0;
    if (++h_ == v_.h) {
      h_ = 0;
      if (++c_ == v_.c) c_ = 0, ++n_;
    }
    if (n_ < v_.n) start_row();
  }

 private:
  void start_row() { row_ = v_.at(n_, c_, h_, 0); }

  const View& v_;
  int64_t unit_;
  int64_t n_ = 0, c_ = 0, h_ = 0, w_ = 0, row_ = 0;
};

class Copy : public Operation {
 public:
  Copy(const View& source, const View& target, Element element, bool transposed)
      : source_(source), target_(target), transposed_(transposed) {
    add_access("src", source_, element, false);
    add_access("dst", target_, element, true);
    if (source_.elements() != target_.elements())
      throw DataError("a copy of " + std::to_string(source_.elements()) + " elements into " +
                      std::to_string(target_.elements()));
    same_shape_ = source_.h == target_.h && source_.w == target_.w &&
                  (transposed_ || (source_.n == target_.n && source_.c == target_.c));
    joined_ = joins(source_) && joins(target_);
    apart_ = source_.space != target_.space;
  }

  void run(const RunContext& context) const override {
    copy(context, context.memory.data(source_.space), context.memory.data(target_.space));
  }

  bool copies() const override { return true; }
  void copy(const RunContext& context, const uint8_t* from, uint8_t* to) const override {
    if (!same_shape_) return copy_in_order(from, to);
    const int64_t tasks = source_.n * source_.c;
    const int64_t grain =
        apart_ ? std::max<int64_t>(1, 65536 / std::max<int64_t>(1, source_.h * source_.w * source_.bytes)) : tasks;
    context.pool.parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t n = t / source_.c, c = t % source_.c;
        copy_plane(from + source_.at(n, c, 0, 0), to + (transposed_ ? target_.at(c, n, 0, 0) : target_.at(n, c, 0, 0)));
      }
    });
  }

 private:
  static bool joins(const View& v) { return v.w_stride == v.bytes && (v.h == 1 || v.h_stride == v.w * v.bytes); }

  void copy_plane(const uint8_t* from, uint8_t* to) const {
    const View &s = source_, &t = target_;
    if (joined_) {
      std::memmove(to, from, static_cast<size_t>(s.h * s.w * s.bytes));
      return;
    }
    for (int64_t h = 0; h < s.h; ++h, from += s.h_stride, to += t.h_stride) {
      if (s.w_stride == s.bytes && t.w_stride == t.bytes) {
        std::memmove(to, from, static_cast<size_t>(s.w * s.bytes));
      } else if (s.bytes == 4) {
        for (int64_t w = 0; w < s.w; ++w) std::memcpy(to + w * t.w_stride, from + w * s.w_stride, 4);
      } else {
        for (int64_t w = 0; w < s.w; ++w)
          std::memcpy(to + w * t.w_stride, from + w * s.w_stride, static_cast<size_t>(s.bytes));
      }
    }
  }

  // Shapes differ: elements are paired in n, c, h, w order.
  void copy_in_order(const uint8_t* from, uint8_t* to) const {
    Runs source(source_), target(target_);
    for (int64_t left = source_.elements(); left > 0;) {
      const int64_t count = std::min(source.available(), target.available());
      std::memmove(to + target.place(), from + source.place(), static_cast<size_t>(count * source_.bytes));
      source.advance(count);
      target.advance(count);
      left -= count;
    }
  }

  View source_, target_;
  bool transposed_, same_shape_ = false, joined_ = false, apart_ = false;
};

class Fill : public Operation {
 public:
  Fill(const View& target, Element element, uint32_t value) : target_(target), value_(value) {
    add_access("dst", target_, element, true);
  }

  void run(const RunContext& context) const override {
    uint8_t* to = context.memory.data(target_.space);
    for (int64_t n = 0; n < target_.n; ++n)
      for (int64_t c = 0; c < target_.c; ++c)
        for (int64_t h = 0; h < target_.h; ++h) {
          uint8_t* row = to + target_.at(n, c, h, 0);
          for (int64_t w = 0; w < target_.w; ++w)
            std::memcpy(row + w * target_.w_stride, &value_, static_cast<size_t>(target_.bytes));
        }
  }

 private:
  View target_;
  uint32_t value_;
};

// Sizes and strides of one side, in elements.
struct Side {
  uint64_t address;
  Extent size, stride;
};

class Builder {
 public:
  Builder(const GdmaCommand& c, const Memory& memory)
      : c_(c),
        memory_(memory),
        direction_(static_cast<Direction>(c.direction)),
        format_(format_of(c.src_data_format)),
        source_{c.src_start_addr_l32 | uint64_t(c.src_start_addr_h8) << 32,
                {c.src_nsize, c.src_csize, c.src_hsize, c.src_wsize},
                {c.src_nstride, c.src_cstride, c.src_hstride, c.src_wstride}},
        target_{c.dst_start_addr_l32 | uint64_t(c.dst_start_addr_h8) << 32,
                {c.dst_nsize, c.dst_csize, c.dst_hsize, c.dst_wsize},
                {c.dst_nstride, c.dst_cstride, c.dst_hstride, c.dst_wstride}} {}

  std::unique_ptr<Operation> build() {
    if (c_.acc_write_enable) not_implemented("accumulating write");
    if (c_.src_hshift || c_.src_wshift || c_.dst_hshift || c_.dst_wshift) not_implemented("h/w shift fields");
    if (c_.eng1_sync_id || c_.eng3_sync_id) not_implemented("waiting for another engine");
    if (~c_.localmem_mask_l32 || ~c_.localmem_mask_h32) not_implemented("a mask of lanes");
    const auto special = static_cast<Special>(c_.special_func);
    if (special != Special::copy && special != Special::transpose_nc && special != Special::fill)
      not_implemented("GDMA function " + std::to_string(c_.special_func));
    if (c_.common_mode) return linear(special);
    if (c_.sys_mem_type) return matrix(special);
    if (special == Special::fill)
      return std::make_unique<Fill>(place(target_, target_is_local(direction_)), format_.element, c_.constant_value);
    const bool transposed = special == Special::transpose_nc;
    if (transposed)
      target_.size = {source_.size.c, source_.size.n, source_.size.h, source_.size.w};
    else if (c_.chw_copy)
      target_.size = source_.size;
    const View from = place(source_, source_is_local(direction_)), to = place(target_, target_is_local(direction_));
    return std::make_unique<Copy>(from, to, format_.element, transposed);
  }

 private:
  View place(const Side& side, bool local) const {
    View v;
    v.n = side.size.n, v.c = side.size.c, v.h = side.size.h, v.w = side.size.w;
    v.bytes = format_.bytes;
    Extent stride = side.stride;
    if (!c_.stride_enable) {
      stride = {v.c * v.h * v.w, v.h * v.w, v.w, 1};
      if (local) {
        stride.c = align_up(v.h * v.w * v.bytes, 128) / v.bytes;
        stride.n = (lane_of(side.address) + v.c + lanes - 1) / lanes * stride.c;
      }
    }
    v.n_stride = stride.n * v.bytes, v.c_stride = stride.c * v.bytes;
    v.h_stride = stride.h * v.bytes, v.w_stride = stride.w * v.bytes;
    if (local)
      place_local(v, side.address);
    else
      memory_.place_system(v, side.address);
    return v;
  }

  static int64_t lane_of(uint64_t address) {
    return static_cast<int64_t>(address % static_cast<uint64_t>(local_bytes)) / lane_bytes;
  }

  // src_nstride elements side by side.
  std::unique_ptr<Operation> linear(Special special) {
    if (direction_ != Direction::system_to_system) not_implemented("linear copy of local memory");
    if (special == Special::transpose_nc) not_implemented("linear transposition");
    const int64_t count = c_.src_nstride;
    const auto line = [&](uint64_t address) {
      View v;
      v.w = count;
      v.bytes = v.w_stride = format_.bytes;
      memory_.place_system(v, address);
      return v;
    };
    if (special == Special::fill)
      return std::make_unique<Fill>(line(target_.address), format_.element, c_.constant_value);
    return std::make_unique<Copy>(line(source_.address), line(target_.address), format_.element, false);
  }

  // A matrix of device memory, and its rows as batches cut into sections of columns, one section a lane. The last
  // section may be narrower, so the matrix is moved as whole sections and a rest.
  std::unique_ptr<Operation> matrix(Special special);

  const GdmaCommand& c_;
  const Memory& memory_;
  Direction direction_;
  Format format_;
  Side source_, target_;
};

class MatrixCopy : public Operation {
 public:
  // system: rows in h, columns in w. local: rows in n, sections in c, columns of a section in w.
  MatrixCopy(const View& system, const View& local, int64_t rows, int64_t columns, bool to_local, bool transposed,
             Element element)
      : system_(system), local_(local), rows_(rows), columns_(columns), to_local_(to_local), transposed_(transposed) {
    if (transposed_) assume("matrix mode transposes the matrix of device memory");
    add_access("src", to_local ? system_ : local_, element, false);
    add_access("dst", to_local ? local_ : system_, element, true);
  }

  void run(const RunContext& context) const override {
    const Space from = to_local_ ? system_.space : Space::local, to = to_local_ ? Space::local : system_.space;
    copy(context, context.memory.data(from), context.memory.data(to));
  }

  bool copies() const override { return true; }
  void copy(const RunContext& context, const uint8_t* from, uint8_t* to) const override {
    const int64_t sections = (columns_ + local_.w - 1) / local_.w;
    context.pool.parallel_for(rows_ * sections, 64, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t row = t / sections, section = t % sections;
        const int64_t first = section * local_.w, count = std::min(local_.w, columns_ - first);
        const int64_t inside = local_.at(row, section, 0, 0);
        const int64_t outside = transposed_ ? system_.at(0, 0, first, row) : system_.at(0, 0, row, first);
        const int64_t step = transposed_ ? system_.h_stride : system_.w_stride;
        if (to_local_)
          move(from + outside, step, to + inside, local_.w_stride, count);
        else
          move(from + inside, local_.w_stride, to + outside, step, count);
      }
    });
  }

 private:
  void move(const uint8_t* from, int64_t from_step, uint8_t* to, int64_t to_step, int64_t count) const {
    const auto bytes = static_cast<size_t>(local_.bytes);
    if (from_step == local_.bytes && to_step == local_.bytes) {
      std::memcpy(to, from, static_cast<size_t>(count) * bytes);
      return;
    }
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, bytes);
  }

  View system_, local_;
  int64_t rows_, columns_;  // of the local matrix
  bool to_local_, transposed_;
};

std::unique_ptr<Operation> Builder::matrix(Special special) {
  const bool to_local = direction_ == Direction::system_to_local;
  if (!to_local && direction_ != Direction::local_to_system) not_implemented("matrix mode between like memories");
  if (special == Special::fill) not_implemented("fill in matrix mode");
  const bool transposed = special == Special::transpose_nc;
  Side system = to_local ? source_ : target_;
  Side local = to_local ? target_ : source_;
  system.size.n = system.size.c = 1;
  local.size.h = 1;
  const int64_t rows = transposed ? system.size.w : system.size.h, columns = transposed ? system.size.h : system.size.w;
  const View outside = place(system, false);
  if (local.size.w < 1) throw DataError("matrix sections without columns");
  local.size.n = rows;
  local.size.c = (columns + local.size.w - 1) / local.size.w;
  if (c_.stride_enable) local.size.w = std::min(local.size.w, columns);  // else the width decides the layout
  const View inside = place(local, true);
  return std::make_unique<MatrixCopy>(outside, inside, rows, columns, to_local, transposed, format_.element);
}

}  // namespace

std::unique_ptr<Operation> make_operation(const GdmaCommand& command, const Memory& memory) {
  return Builder(command, memory).build();
}

}  // namespace bittrue::bm1684
