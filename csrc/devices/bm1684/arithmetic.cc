// Task type 3, tensor arithmetic. Semantics: measured on the vendor's simulator; integer results round half up,
// saturate by the sign flags of the operands, and leave the batches of a packed word alone that the shape does not
// name.
#include <algorithm>
#include <cstring>

#include "devices/bm1684/operands.h"
#include "engine/errors.h"

namespace bittrue::bm1684 {

namespace {

constexpr int64_t chunk = 512;  // words processed at a time

// An operand as rows of 32-bit words, or one constant word.
struct Rows {
  bool constant = false;
  uint32_t value = 0;
  View view;
  bool first_batch_only = false;  // byte lane 0 of the first word serves all batches
};

struct Walk {
  int64_t rows;     // rows of a channel
  int64_t columns;  // words of a row
};

bool rows_join(const View& v) { return v.h == 1 || v.h_stride == v.w * v.w_stride; }

// Rows that follow each other without gaps in every operand are walked as one.
Walk walk_of(const View& result, const std::vector<const Rows*>& operands) {
  bool join = rows_join(result);
  for (const Rows* r : operands) join = join && (r->constant || rows_join(r->view));
  return join ? Walk{1, result.h * result.w} : Walk{result.h, result.w};
}

// The words of a row chunk: in place if they are contiguous, else gathered into `buffer`.
const uint32_t* words_of(const uint8_t* local, const View& v, int64_t at, int64_t count, uint32_t* buffer) {
  const uint8_t* p = local + at;
  if (v.w_stride == 4) return reinterpret_cast<const uint32_t*>(p);
  for (int64_t i = 0; i < count; ++i) std::memcpy(buffer + i, p + i * v.w_stride, 4);
  return buffer;
}

template <class T>
void combine_bits(Eu eu, const T* a, const T* b, T* r, int64_t count) {
  if (eu == Eu::bit_and)
    for (int64_t i = 0; i < count; ++i) r[i] = a[i] & b[i];
  else if (eu == Eu::bit_or)
    for (int64_t i = 0; i < count; ++i) r[i] = a[i] | b[i];
  else
    for (int64_t i = 0; i < count; ++i) r[i] = a[i] ^ b[i];
}

// Whether elements of the result can share bytes, so that their order matters.
bool overlaps_itself(const View& v) {
  if ((v.w > 1 && v.w_stride < 4) || (v.h > 1 && v.h_stride < v.w * v.w_stride)) return true;
  const int64_t plane = v.h * v.h_stride;
  const int64_t rows = (v.start_lane + v.c - 1) / lanes + 1;
  if (rows > 1 && v.c_stride < plane) return true;
  return v.n > v.per_word && v.n_stride < (rows > 1 ? rows * v.c_stride : plane) &&
         // batches may lie between the rows of channels
         !(rows > 1 && v.n_stride >= plane && v.c_stride >= v.n * v.n_stride);
}

class ElementWise : public Operation {
 public:
  explicit ElementWise(const BdcCommand& c) : command_(c), eu_(static_cast<Eu>(c.tsk_eu_typ)) {
    result_precision_ = static_cast<Precision>(c.opt_res0_prec);
    shape_ = {c.res0_n, c.res0_c, c.res0_h, c.res0_w};
    result_ = view(c.res0_addr, result_precision_, c.short_res0_str,
                   {c.res0_n_str, c.res0_c_str, c.res0_h_str, c.res0_w_str});
  }

  void run(const RunContext& context) const override {
    const int64_t groups = (shape_.n + result_group() - 1) / result_group();
    const int64_t tasks = groups * shape_.c;
    const int64_t grain = in_order_ ? tasks : std::max<int64_t>(1, 4096 / std::max<int64_t>(1, shape_.h * shape_.w));
    context.parallel(tasks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) run_channel(context, t / shape_.c, t % shape_.c);
    });
  }

 protected:
  // Batches that one task computes: whole packed words, so that no two tasks touch the same word.
  virtual int64_t result_group() const = 0;
  virtual void run_channel(const RunContext& context, int64_t group, int64_t c) const = 0;

  View view(uint64_t address, Precision p, uint32_t layout, const Extent& strides) const {
    return operand_view(address, p, layout, shape_, strides);
  }

  Rows operand(int index, Precision p) const {
    const BdcCommand& c = command_;
    Rows r;
    r.constant = index == 0 ? c.opt_opd0_const : c.opt_opd1_const;
    const uint32_t address = index == 0 ? c.opd0_addr : c.opd1_addr;
    if (r.constant) {
      r.value = address;
      return r;
    }
    r.first_batch_only = index == 0 ? c.opd0_neq1 : c.opd1_neq1;
    View v = index == 0 ? view(address, p, c.short_opd0_str, {c.opd0_n_str, c.opd0_c_str, c.opd0_h_str, c.opd0_w_str})
                        : view(address, p, c.short_opd1_str, {c.opd1_n_str, c.opd1_c_str, c.opd1_h_str, c.opd1_w_str});
    if (r.first_batch_only) v.n_stride = 0;
    r.view = v;
    return r;
  }

  // Lists the operands and decides whether the elements must be computed in order by one thread.
  void finish(const std::vector<Rows>& operands, const std::vector<Element>& elements, Element result_element) {
    in_order_ = overlaps_itself(result_);
    std::vector<const Rows*> pointers;
    for (size_t i = 0; i < operands.size(); ++i) {
      pointers.push_back(&operands[i]);
      if (operands[i].constant) continue;
      View listed = operands[i].view;
      if (operands[i].first_batch_only) listed.n = 1;
      add_access("opd" + std::to_string(i), listed, elements[i], false);
      if (meets_elsewhere(operands[i].view, result_)) in_order_ = true;
    }
    if (eu_ == Eu::mac) add_access("res0", result_, result_element, false);
    add_access("res0", result_, result_element, true);
    if (in_order_) assume(order_of_overlaps);
    walk_ = walk_of(result_, pointers);
  }

  BdcCommand command_;
  Eu eu_;
  Precision result_precision_;
  Extent shape_;
  View result_;
  Walk walk_{};
  bool in_order_ = false;
};

// int8 and int16: two batches at a time, widened to 32 bits.
class IntegerArithmetic : public ElementWise {
 public:
  explicit IntegerArithmetic(const BdcCommand& c) : ElementWise(c) {
    a_precision_ = static_cast<Precision>(c.opt_opd0_prec), b_precision_ = static_cast<Precision>(c.opt_opd1_prec);
    // Multiplications read their operands as int8, whatever is announced [measured].
    if (eu_ == Eu::mul || eu_ == Eu::mac) a_precision_ = b_precision_ = Precision::int8;
    check();
    a_signed_ = c.opt_opd0_sign, b_signed_ = c.opt_opd1_sign;
    const bool unary = eu_ == Eu::copy;
    result_signed_ = eu_ == Eu::sub || a_signed_ || (b_signed_ && !unary);
    const bool narrow = result_precision_ == Precision::int8;
    rule_.right_shift = static_cast<int>(c.opt_right_shift);
    rule_.left_shift = static_cast<int>(c.opt_left_shift);
    const int bits = narrow ? 8 : 16;
    rule_.low = result_signed_ ? -(int64_t(1) << (bits - 1)) : 0;
    rule_.high = (int64_t(1) << (result_signed_ ? bits - 1 : bits)) - 1;
    a_ = operand(0, a_precision_);
    std::vector<Rows> operands = {a_};
    std::vector<Element> elements = {element_of(a_precision_, a_signed_)};
    if (!unary) {
      b_ = operand(1, b_precision_);
      operands.push_back(b_);
      elements.push_back(element_of(b_precision_, b_signed_));
    } else {
      b_ = a_;
    }
    finish(operands, elements, element_of(result_precision_, result_signed_));
  }

 protected:
  int64_t result_group() const override { return 4; }  // a word of the narrowest operand

  void run_channel(const RunContext& context, int64_t group, int64_t c) const override {
    for (int64_t n = 4 * group; n < std::min<int64_t>(4 * group + 4, shape_.n); n += 2)
      for (int64_t h = 0; h < walk_.rows; ++h)
        for (int64_t w = 0; w < walk_.columns; w += chunk)
          run_words(context, n, c, h, w, std::min(chunk, walk_.columns - w));
  }

 private:
  void check() const {
    const auto wide = [](Precision p) { return p == Precision::int16; };
    const bool unary = eu_ == Eu::copy;
    const bool equal = a_precision_ == b_precision_ || unary;
    const std::string kinds = "precisions " + std::to_string(command_.opt_res0_prec) + " <- " +
                              std::to_string(command_.opt_opd0_prec) + ", " + std::to_string(command_.opt_opd1_prec);
    switch (eu_) {
      case Eu::mul:
        return;
      case Eu::mac:
        if (!wide(result_precision_)) not_implemented("multiply-accumulate into int8");
        return;
      case Eu::add:
      case Eu::sub:
        if (!equal) not_implemented("addition of different precisions, " + kinds);
        return;
      case Eu::max:
      case Eu::min:
        if (!equal || a_precision_ != result_precision_) not_implemented("maximum of different precisions, " + kinds);
        if (command_.opt_opd0_sign != command_.opt_opd1_sign) not_implemented("maximum of different signs");
        return;
      case Eu::shift:
        if (!wide(a_precision_) || !equal || !wide(result_precision_)) not_implemented("shift with " + kinds);
        return;
      case Eu::bit_and:
      case Eu::bit_or:
      case Eu::bit_xor:
      case Eu::copy:
        if (!equal || a_precision_ != result_precision_) not_implemented("bit operation with " + kinds);
        return;
      default:
        not_implemented("integer operation " + std::to_string(command_.tsk_eu_typ));
    }
  }

  int32_t constant_of(const Rows& r, Precision p, bool is_signed) const {
    if (p == Precision::int8)
      return is_signed ? int32_t(static_cast<int8_t>(r.value)) : int32_t(static_cast<uint8_t>(r.value));
    return is_signed ? int32_t(static_cast<int16_t>(r.value)) : int32_t(static_cast<uint16_t>(r.value));
  }

  // Batches n and n + 1 of `count` words as pairs of values.
  void load(const RunContext& context, const Rows& r, Precision p, bool is_signed, int64_t n, int64_t c, int64_t h,
            int64_t w, int64_t count, int32_t* values) const {
    if (r.constant) return std::fill(values, values + 2 * count, constant_of(r, p, is_signed));
    const View& v = r.view;
    const int64_t batch = r.first_batch_only ? 0 : n;
    uint32_t buffer[chunk];
    const int64_t packed_at = v.at(batch - batch % v.per_word, c, h, 0) + w * v.w_stride;
    const bool one_word = v.w_stride == 0;
    const uint32_t* words = words_of(context.local(), v, packed_at, one_word ? 1 : count, buffer);
    if (one_word) {
      int32_t pair[2];
      if (p == Precision::int8)
        context.kernels.load_int8(words, 1, static_cast<int>(batch % 4), is_signed, pair);
      else
        context.kernels.load_int16(words, 1, is_signed, pair);
      const int32_t second = pair[r.first_batch_only ? 0 : 1];
      for (int64_t i = 0; i < count; ++i) values[2 * i] = pair[0], values[2 * i + 1] = second;
      return;
    }
    if (p == Precision::int8)
      context.kernels.load_int8(words, count, static_cast<int>(batch % 4), is_signed, values);
    else
      context.kernels.load_int16(words, count, is_signed, values);
    if (r.first_batch_only)
      for (int64_t i = 0; i < count; ++i) values[2 * i + 1] = values[2 * i];
  }

  void store(const RunContext& context, const int32_t* values, int64_t n, int64_t c, int64_t h, int64_t w,
             int64_t count) const {
    const View& v = result_;
    const bool both = n + 1 < shape_.n;
    uint8_t* p = context.local() + v.at(n - n % v.per_word, c, h, 0) + w * v.w_stride;
    const auto put = [&](uint32_t* words, int64_t many, const int32_t* from) {
      if (result_precision_ == Precision::int8)
        context.kernels.store_int8(from, many, static_cast<int>(n % 4), both, words);
      else
        context.kernels.store_int16(from, many, both, words);
    };
    if (v.w_stride == 4) return put(reinterpret_cast<uint32_t*>(p), count, values);
    for (int64_t i = 0; i < count; ++i) {
      uint32_t word;
      std::memcpy(&word, p + i * v.w_stride, 4);
      put(&word, 1, values + 2 * i);
      std::memcpy(p + i * v.w_stride, &word, 4);
    }
  }

  void run_words(const RunContext& context, int64_t n, int64_t c, int64_t h, int64_t w, int64_t count) const {
    int32_t a[2 * chunk], b[2 * chunk], r[2 * chunk];
    load(context, a_, a_precision_, a_signed_, n, c, h, w, count, a);
    if (eu_ != Eu::copy) load(context, b_, b_precision_, b_signed_ && eu_ != Eu::shift, n, c, h, w, count, b);
    if (eu_ == Eu::mac) {
      Rows old;
      old.view = result_;
      load(context, old, result_precision_, result_signed_, n, c, h, w, count, r);
    }
    compute(context.kernels, a, b, r, 2 * count);
    store(context, r, n, c, h, w, count);
  }

  void compute(const Kernels& k, const int32_t* a, const int32_t* b, int32_t* r, int64_t count) const {
    switch (eu_) {
      case Eu::mul:
        return k.mul(a, b, r, count, rule_);
      case Eu::mac:
        return k.mac(a, b, r, count, rule_);
      case Eu::add:
        return k.add(a, b, r, count, rule_);
      case Eu::sub:
        return k.sub(a, b, r, count, rule_);
      case Eu::max:
        return k.max(a, b, r, count);
      case Eu::min:
        return k.min(a, b, r, count);
      case Eu::shift:
        return k.shift16(a, b, r, count, command_.opt_shift_typ);
      case Eu::bit_and:
      case Eu::bit_or:
      case Eu::bit_xor:
        return combine_bits(eu_, a, b, r, count);
      default:
        std::copy(a, a + count, r);
    }
  }

  Precision a_precision_, b_precision_;
  bool a_signed_ = false, b_signed_ = false, result_signed_ = false;
  IntegerRule rule_;
  Rows a_, b_;
};

// float32, and bit operations on 32-bit words.
class WordArithmetic : public ElementWise {
 public:
  explicit WordArithmetic(const BdcCommand& c) : ElementWise(c) {
    check();
    a_ = operand(0, Precision::fp32);
    const auto a_element = element_of(static_cast<Precision>(c.opt_opd0_prec), true);
    std::vector<Rows> operands = {a_};
    std::vector<Element> elements = {a_element};
    if (eu_ != Eu::copy) {
      b_ = operand(1, Precision::fp32);
      operands.push_back(b_);
      elements.push_back(element_of(static_cast<Precision>(c.opt_opd1_prec), true));
    } else {
      b_ = a_;
    }
    finish(operands, elements, element_of(result_precision_, true));
  }

 protected:
  int64_t result_group() const override { return 1; }

  void run_channel(const RunContext& context, int64_t n, int64_t c) const override {
    for (int64_t h = 0; h < walk_.rows; ++h)
      for (int64_t w = 0; w < walk_.columns; w += chunk) {
        const int64_t count = std::min(chunk, walk_.columns - w);
        uint32_t a_buffer[chunk], b_buffer[chunk], r_buffer[chunk];
        const uint32_t* a = load(context, a_, n, c, h, w, count, a_buffer);
        const uint32_t* b = eu_ == Eu::copy ? a : load(context, b_, n, c, h, w, count, b_buffer);
        uint8_t* out = context.local() + result_.at(n, c, h, 0) + w * result_.w_stride;
        const bool direct = result_.w_stride == 4 && !in_order_;
        auto* r = direct ? reinterpret_cast<uint32_t*>(out) : r_buffer;
        if (!direct && eu_ == Eu::mac)
          for (int64_t i = 0; i < count; ++i) std::memcpy(r + i, out + i * result_.w_stride, 4);
        compute(context.kernels, a, b, r, count);
        if (!direct)
          for (int64_t i = 0; i < count; ++i) std::memcpy(out + i * result_.w_stride, r + i, 4);
      }
  }

 private:
  void check() const {
    const auto a = static_cast<Precision>(command_.opt_opd0_prec), b = static_cast<Precision>(command_.opt_opd1_prec);
    const bool words = result_precision_ == Precision::int32;
    const bool equal = result_precision_ == a && (eu_ == Eu::copy || a == b);
    switch (eu_) {
      case Eu::mul:
      case Eu::add:
      case Eu::max:
        break;  // with int32 they behave as float32 on the bits [measured]
      case Eu::mac:
      case Eu::sub:
      case Eu::min:
      case Eu::divide:
      case Eu::select_gt:
      case Eu::select_eq:
        if (words) not_implemented("32-bit integer operation " + std::to_string(command_.tsk_eu_typ));
        break;
      case Eu::shift:
      case Eu::bit_and:
      case Eu::bit_or:
      case Eu::bit_xor:
        if (!words) not_implemented("bit operation on float32");
        break;
      case Eu::copy:
        break;
      default:
        not_implemented("tensor arithmetic operation " + std::to_string(command_.tsk_eu_typ));
    }
    if (!equal)
      not_implemented("tensor arithmetic with precisions " + std::to_string(command_.opt_res0_prec) + " <- " +
                      std::to_string(command_.opt_opd0_prec) + ", " + std::to_string(command_.opt_opd1_prec));
  }

  static const uint32_t* load(const RunContext& context, const Rows& r, int64_t n, int64_t c, int64_t h, int64_t w,
                              int64_t count, uint32_t* buffer) {
    if (r.constant) {
      std::fill(buffer, buffer + count, r.value);
      return buffer;
    }
    return words_of(context.local(), r.view, r.view.at(r.first_batch_only ? 0 : n, c, h, 0) + w * r.view.w_stride,
                    count, buffer);
  }

  void compute(const Kernels& k, const uint32_t* a, const uint32_t* b, uint32_t* r, int64_t count) const {
    const auto* fa = reinterpret_cast<const float*>(a);
    const auto* fb = reinterpret_cast<const float*>(b);
    auto* fr = reinterpret_cast<float*>(r);
    if (const FloatKernel kernel = float_kernel(k, eu_)) return kernel(fa, fb, fr, count);
    switch (eu_) {
      case Eu::select_gt:
        for (int64_t i = 0; i < count; ++i) r[i] = fa[i] > fb[i] ? command_.opd2_addr : 0u;
        return;
      case Eu::select_eq:
        for (int64_t i = 0; i < count; ++i) r[i] = fa[i] == fb[i] ? command_.opd2_addr : 0u;
        return;
      case Eu::shift:
        for (int64_t i = 0; i < count; ++i) r[i] = shifted(a[i], static_cast<int8_t>(b[i]));
        return;
      case Eu::bit_and:
      case Eu::bit_or:
      case Eu::bit_xor:
        return combine_bits(eu_, a, b, r, count);
      default:
        if (r != a) std::memmove(r, a, static_cast<size_t>(count) * 4);
    }
  }

  uint32_t shifted(uint32_t v, int amount) const {
    if (amount >= 32) return 0;
    if (amount >= 0) return v << amount;
    const int right = -amount;
    if (command_.opt_shift_typ) return static_cast<uint32_t>(static_cast<int32_t>(v) >> std::min(right, 31));
    return right >= 32 ? 0 : v >> right;
  }

  Rows a_, b_;
};

bool is_narrow(uint32_t precision) {
  return precision == static_cast<uint32_t>(Precision::int8) || precision == static_cast<uint32_t>(Precision::int16);
}

}  // namespace

std::unique_ptr<Operation> make_arithmetic(const BdcCommand& c) {
  for (const uint32_t p : {c.opt_res0_prec, c.opt_opd0_prec})
    if (p == static_cast<uint32_t>(Precision::fp16) || p > static_cast<uint32_t>(Precision::int32))
      not_implemented("tensor arithmetic with precision " + std::to_string(p));
  if (is_narrow(c.opt_res0_prec) != is_narrow(c.opt_opd0_prec))
    not_implemented("tensor arithmetic with precisions " + std::to_string(c.opt_res0_prec) + " <- " +
                    std::to_string(c.opt_opd0_prec));
  if (is_narrow(c.opt_res0_prec)) return std::make_unique<IntegerArithmetic>(c);
  return std::make_unique<WordArithmetic>(c);
}

}  // namespace bittrue::bm1684
