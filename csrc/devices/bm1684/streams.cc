#include "devices/bm1684/streams.h"

#include "arith/float_functions.h"

namespace bittrue::bm1684 {

namespace {

bool is_precision(uint32_t code, Precision p) { return code == static_cast<uint32_t>(p); }

void require_words(const BdcCommand& c, const char* what) {
  for (const uint32_t p : {c.opt_res0_prec, c.opt_opd0_prec})
    if (!is_precision(p, Precision::fp32) && !is_precision(p, Precision::int32))
      not_implemented(std::string(what) + " with precision " + std::to_string(p));
}

void require_float(const BdcCommand& c, const char* what) {
  if (!is_precision(c.opt_opd0_prec, Precision::fp32))
    not_implemented(std::string(what) + " with precision " + std::to_string(c.opt_opd0_prec));
}

// Table lookup by the low 8 bits of a 32-bit index.
class Lookup : public Stream {
 public:
  explicit Lookup(const BdcCommand& c) : Stream(c) {
    require_words(c, "lookup");
    if (c.tsk_eu_typ != 0 && c.tsk_eu_typ != 19) not_implemented("lookup operation " + std::to_string(c.tsk_eu_typ));
    if (c.opd1_h != 8) not_implemented("lookup with an index of " + std::to_string(c.opd1_h) + " bits");
    index_ = source("opd0", false, c.opd0_addr, Element::int32);
    table_ = table_view(c.opd1_addr, 256);
    add_access("opd1", table_, Element::int32, false);
    result_ = result("res0", c.res0_addr, element_of(static_cast<Precision>(c.opt_res0_prec), true));
  }

 private:
  void run_words(const RunContext& context, int64_t n, int64_t c, int64_t p, int64_t count) const override {
    uint32_t buffer[chunk];
    const uint32_t* index = words(context, index_, n, c, p, count, buffer);
    const auto* table = reinterpret_cast<const uint32_t*>(context.memory.data(Space::l2) + table_.offset);
    uint32_t* r = words(context, result_, n, c, p);
    for (int64_t i = 0; i < count; ++i) r[i] = table[index[i] & 255u];
  }

  Source index_;
  View table_, result_;
};

class Scalar : public Stream {
 public:
  explicit Scalar(const BdcCommand& c) : Stream(c), eu_(static_cast<Eu>(c.tsk_eu_typ)) {
    require_float(c, "md scalar");
    if (eu_ != Eu::mul && eu_ != Eu::add && eu_ != Eu::sub && eu_ != Eu::divide)
      not_implemented("md scalar operation " + std::to_string(c.tsk_eu_typ));
    a_ = source("opd0", c.opt_opd0_const, c.opd0_addr, Element::float32);
    b_ = source("opd1", c.opt_opd1_const, c.opd1_addr, Element::float32);
    result_ = result("res0", c.res0_addr, Element::float32);
  }

 private:
  void run_words(const RunContext& context, int64_t n, int64_t c, int64_t p, int64_t count) const override {
    uint32_t a_buffer[chunk], b_buffer[chunk];
    const auto* a = reinterpret_cast<const float*>(words(context, a_, n, c, p, count, a_buffer));
    const auto* b = reinterpret_cast<const float*>(words(context, b_, n, c, p, count, b_buffer));
    auto* r = reinterpret_cast<float*>(words(context, result_, n, c, p));
    float_kernel(context.kernels, eu_)(a, b, r, count);
  }

  Eu eu_;
  Source a_, b_;
  View result_;
};

// Special functions: a polynomial from an L2 table, float to integer, 1/sqrt.
class SpecialFunction : public Stream {
 public:
  explicit SpecialFunction(const BdcCommand& c) : Stream(c), eu_(static_cast<Eu>(c.tsk_eu_typ)), terms_(c.opd1_n) {
    require_float(c, "md sfu");
    if (eu_ != Eu::taylor && eu_ != Eu::fp32_to_int && eu_ != Eu::rsqrt)
      not_implemented("md sfu operation " + std::to_string(c.tsk_eu_typ));
    if (c.opt_opd0_const) not_implemented("md sfu of a constant");
    x_ = source("opd0", false, c.opd0_addr, Element::float32);
    if (eu_ == Eu::taylor) {
      table_ = table_view(c.opd1_addr, std::max<int64_t>(terms_, 1));
      add_access("opd1", table_, Element::float32, false);
    }
    result_ = result("res0", c.res0_addr, eu_ == Eu::fp32_to_int ? Element::int32 : Element::float32);
  }

 private:
  void run_words(const RunContext& context, int64_t n, int64_t c, int64_t p, int64_t count) const override {
    uint32_t buffer[chunk];
    const auto* x = reinterpret_cast<const float*>(words(context, x_, n, c, p, count, buffer));
    uint32_t* r = words(context, result_, n, c, p);
    if (eu_ == Eu::fp32_to_int) {
      for (int64_t i = 0; i < count; ++i) r[i] = static_cast<uint32_t>(trunc32(x[i]));
    } else if (eu_ == Eu::rsqrt) {
      for (int64_t i = 0; i < count; ++i) reinterpret_cast<float*>(r)[i] = rsqrt_newton(x[i]);
    } else {
      const auto* table = reinterpret_cast<const float*>(context.memory.data(Space::l2) + table_.offset);
      context.kernels.taylor_f32(x, table, terms_, reinterpret_cast<float*>(r), count);
    }
  }

  Eu eu_;
  int64_t terms_;
  Source x_;
  View table_, result_;
};

// res1 = a > b ? C : D (select), res0 = a > b ? a : b (compare), or both.
class Compare : public Stream {
 public:
  explicit Compare(const BdcCommand& c) : Stream(c), eu_(static_cast<Eu>(c.tsk_eu_typ)) {
    require_float(c, "md compare");
    if (eu_ != Eu::compare && eu_ != Eu::select && eu_ != Eu::compare_select)
      not_implemented("md compare operation " + std::to_string(c.tsk_eu_typ));
    a_ = source("opd0", c.opt_opd0_const, c.opd0_addr, Element::float32);
    b_ = second();
    if (eu_ != Eu::compare) {
      yes_ = source("opd2", c.opt_opd2_const, c.opd2_addr, Element::float32);
      no_ = source("opd3", c.opt_opd3_const, c.opd3_addr, Element::float32);
    }
    if (eu_ != Eu::select) larger_ = result("res0", c.res0_addr, Element::float32);
    if (eu_ != Eu::compare) chosen_ = result("res1", c.res1_addr, Element::float32);
  }

 private:
  // The second operand broadcasts where a stride field of opd0 is zero.
  Source second() {
    const BdcCommand& c = command_;
    Source s;
    s.constant = c.opt_opd1_const;
    s.value = c.opd1_addr;
    if (s.constant) return s;
    s.view =
        aligned_view(c.opd1_addr, Precision::fp32,
                     {c.opd0_n_str ? shape_.n : 1, shape_.c, c.opd0_h_str ? shape_.h : 1, c.opd0_w_str ? shape_.w : 1});
    add_access("opd1", s.view, Element::float32, false);
    View& v = s.view;
    v.n_stride = c.opd0_n_str ? v.n_stride : 0;
    v.h_stride = c.opd0_h_str ? v.h_stride : 0;
    v.w_stride = c.opd0_w_str ? v.w_stride : 0;
    v.n = shape_.n, v.h = shape_.h, v.w = shape_.w;
    return s;
  }

  void run_words(const RunContext& context, int64_t n, int64_t c, int64_t p, int64_t count) const override {
    uint32_t buffers[4][chunk];
    const uint32_t* a = words(context, a_, n, c, p, count, buffers[0]);
    const uint32_t* b = words(context, b_, n, c, p, count, buffers[1]);
    const bool selects = eu_ != Eu::compare, compares = eu_ != Eu::select;
    const uint32_t* yes = selects ? words(context, yes_, n, c, p, count, buffers[2]) : a;
    const uint32_t* no = selects ? words(context, no_, n, c, p, count, buffers[3]) : b;
    uint32_t* chosen = selects ? words(context, chosen_, n, c, p) : nullptr;
    uint32_t* larger = compares ? words(context, larger_, n, c, p) : nullptr;
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t ai = a[i], bi = b[i];
      const bool greater = float_from_bits(ai) > float_from_bits(bi);
      const uint32_t picked = greater ? yes[i] : no[i];
      if (larger) larger[i] = greater ? ai : bi;
      if (chosen) chosen[i] = picked;
    }
  }

  Eu eu_;
  Source a_, b_, yes_, no_;
  View larger_, chosen_;
};

}  // namespace

std::unique_ptr<Operation> make_lookup(const BdcCommand& c) { return std::make_unique<Lookup>(c); }
std::unique_ptr<Operation> make_scalar(const BdcCommand& c) { return std::make_unique<Scalar>(c); }
std::unique_ptr<Operation> make_sfu(const BdcCommand& c) { return std::make_unique<SpecialFunction>(c); }
std::unique_ptr<Operation> make_compare(const BdcCommand& c) { return std::make_unique<Compare>(c); }

}  // namespace bittrue::bm1684
