// FloatSoftmax along one axis. functions = ieee: exp, sum in channel order and quotient in double, rounded once.
// bm1684: running maximum, the Taylor exp, the sum in channel order (elements along the axis are not neighbours) or in
// two accumulators over even and odd channels (they are), then one multiply by the reciprocal.
#pragma once

#include <cmath>
#include <vector>

#include "arith/float_functions.h"
#include "ops/broadcast.h"
#include "ops/float_mode.h"

namespace bittrue {

class FloatSoftmax final : public Op {
 public:
  explicit FloatSoftmax(const NodeSpec& node)
      : mode_(read_float_mode(node)),
        view_(node.inputs[0]->shape, node.attributes.integer("axis", -1)),
        log_(node.attributes.integer("log", 0) != 0),
        bm1684_(node.attributes.choice<int>("functions", {"ieee", "bm1684"}, "ieee") == 1) {
    if (node.inputs[0]->shape != node.outputs[0]->shape || view_.length < 1)
      throw DataError("input and output must have one shape that is not empty");
    if (log_ && bm1684_) throw UnsupportedError("log softmax with functions bm1684");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> x = read_floats(in[0], mode_);
    const int64_t C = view_.length;
    guarded_blocks(context, view_.outer * view_.inner, 16, mode_.flush && bm1684_, [&](int64_t begin, int64_t end) {
      std::vector<float> column(static_cast<size_t>(C));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i / view_.inner * C * view_.inner + i % view_.inner;
        for (int64_t c = 0; c < C; ++c)
          column[static_cast<size_t>(c)] = x[static_cast<size_t>(first + c * view_.inner)];
        if (bm1684_)
          by_steps(column);
        else
          in_double(column);
        for (int64_t c = 0; c < C; ++c)
          out[0].as<float>()[first + c * view_.inner] = mode_.stored(column[static_cast<size_t>(c)]);
      }
    });
  }

 private:
  static float maximum(const std::vector<float>& v) {
    float m = v[0];
    for (float e : v) m = max_of(m, e);
    return m;
  }

  void by_steps(std::vector<float>& v) const {
    const float m = maximum(v);
    for (float& e : v) e = taylor_.exp(sub(e, m));
    float sums[2] = {0.0f, 0.0f};
    for (size_t c = 0; c < v.size(); ++c) {
      float& s = sums[view_.inner == 1 ? c & 1 : 0];
      s = add(s, v[c]);
    }
    const float r = recip_newton(add(sums[0], sums[1]));
    for (float& e : v) e = mul(e, r);
  }

  void in_double(std::vector<float>& v) const {
    const double m = maximum(v);
    double sum = 0.0;
    for (float e : v) sum += std::exp(double(e) - m);
    for (float& e : v) e = static_cast<float>(log_ ? double(e) - m - std::log(sum) : std::exp(double(e) - m) / sum);
  }

  FloatMode mode_;
  AxisView view_;
  bool log_;
  bool bm1684_;
  TaylorExp taylor_;
};

}  // namespace bittrue
