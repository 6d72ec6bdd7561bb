// FloatUnary: a function of one binary32 value. `functions` = bm1684 takes exp, sigmoid, tanh, elu, reciprocal and
// rsqrt of arith/float_functions.h; everything else is the C++ library in double, rounded once.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "arith/float_functions.h"
#include "ops/float_mode.h"

namespace bittrue {

class FloatUnary final : public Op {
 public:
  explicit FloatUnary(const NodeSpec& node)
      : mode_(read_float_mode(node)),
        kind_(node.attributes.choice<Kind>(
            "kind", {"relu",     "prelu",        "leaky_relu", "clip",       "sigmoid", "tanh",  "exp",
                     "elu",      "log",          "sqrt",       "erf",        "gelu",    "silu",  "mish",
                     "softplus", "hard_sigmoid", "hard_swish", "abs",        "neg",     "floor", "ceil",
                     "round",    "sin",          "cos",        "reciprocal", "rsqrt",   "sign",  "softsign"},
            "relu")),
        bm1684_(node.attributes.choice<int>("functions", {"ieee", "bm1684"}, "ieee") == 1),
        alpha_(static_cast<float>(node.attributes.real("alpha", default_alpha(kind_)))),
        beta_(static_cast<float>(node.attributes.real("beta", default_beta(kind_)))) {
    if (kind_ == Kind::prelu && !node.has_input(1)) throw DataError("prelu needs a slope");
    if (node.inputs[0]->shape != node.outputs[0]->shape) throw DataError("input and output must have one shape");
    const Shape& shape = node.inputs[0]->shape;
    if (node.has_input(1) && node.inputs[1]->elements() != 1) require_entries(node, 1, shape.size() > 1 ? shape[1] : 1);
    const bool steps = kind_ == Kind::exp || kind_ == Kind::sigmoid || kind_ == Kind::tanh || kind_ == Kind::elu ||
                       kind_ == Kind::reciprocal || kind_ == Kind::rsqrt;
    guarded_ = kind_ == Kind::prelu || kind_ == Kind::leaky_relu || (bm1684_ && steps);
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const float* x = in[0].as<float>();
    float* y = out[0].as<float>();
    std::vector<float> slope;
    if (kind_ == Kind::prelu) slope = read_floats(in[1], mode_);
    const Shape& shape = in[0].shape();
    const int64_t channels = shape.size() > 1 ? shape[1] : 1;
    int64_t inner = 1;
    for (size_t i = 2; i < shape.size(); ++i) inner *= shape[i];
    guarded_blocks(context, in[0].elements(), elementwise_grain, mode_.flush && guarded_,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) {
                       const float v = mode_.read(x[i]);
                       if (kind_ == Kind::prelu) {
                         const float s = slope[slope.size() == 1 ? 0 : static_cast<size_t>(i / inner % channels)];
                         y[i] = mode_.stored(v > 0.0f ? v : mul(v, s));
                       } else {
                         y[i] = mode_.stored(apply(v));
                       }
                     }
                   });
  }

 private:
  enum class Kind : uint8_t {
    relu,
    prelu,
    leaky_relu,
    clip,
    sigmoid,
    tanh,
    exp,
    elu,
    log,
    sqrt,
    erf,
    gelu,
    silu,
    mish,
    softplus,
    hard_sigmoid,
    hard_swish,
    abs,
    neg,
    floor,
    ceil,
    round,
    sin,
    cos,
    reciprocal,
    rsqrt,
    sign,
    softsign
  };

  static double default_alpha(Kind kind) {
    switch (kind) {
      case Kind::leaky_relu:
        return 0.01;
      case Kind::clip:
        return -std::numeric_limits<double>::infinity();
      case Kind::hard_sigmoid:
        return 0.2;
      case Kind::hard_swish:
        return 1.0 / 6.0;
      default:
        return 1.0;
    }
  }
  static double default_beta(Kind kind) { return kind == Kind::clip ? std::numeric_limits<double>::infinity() : 0.5; }

  float apply(float x) const {
    if (bm1684_) switch (kind_) {
        case Kind::exp:
          return taylor_.exp(x);
        case Kind::sigmoid:
          return taylor_.sigmoid(x);
        case Kind::tanh:
          return taylor_.tanh(x);
        case Kind::elu:
          return x > 0.0f ? x : mul(alpha_, taylor_.elu(x));
        case Kind::reciprocal:
          return recip_newton(x);
        case Kind::rsqrt:
          return rsqrt_newton(x);
        default:
          break;
      }
    switch (kind_) {
      case Kind::relu:
        return max_of(x, 0.0f);
      case Kind::leaky_relu:
        return x > 0.0f ? x : mul(x, alpha_);
      case Kind::clip:
        return min_of(max_of(x, alpha_), beta_);
      case Kind::abs:
        return std::fabs(x);
      case Kind::neg:
        return -x;
      case Kind::floor:
        return std::floor(x);
      case Kind::ceil:
        return std::ceil(x);
      case Kind::round:
        return std::nearbyint(x);
      case Kind::sign:
        return x > 0.0f ? 1.0f : (x < 0.0f ? -1.0f : x);
      default:
        return static_cast<float>(in_double(x));
    }
  }

  static double softplus(double x) { return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
  double hard(double x) const {
    const double v = double(alpha_) * x + double(beta_);
    return v < 0.0 ? 0.0 : (v > 1.0 ? 1.0 : v);
  }

  double in_double(double x) const {
    switch (kind_) {
      case Kind::sigmoid:
        return 1.0 / (1.0 + std::exp(-x));
      case Kind::tanh:
        return std::tanh(x);
      case Kind::exp:
        return std::exp(x);
      case Kind::elu:
        return x > 0.0 ? x : double(alpha_) * std::expm1(x);
      case Kind::log:
        return std::log(x);
      case Kind::sqrt:
        return std::sqrt(x);
      case Kind::erf:
        return std::erf(x);
      case Kind::gelu:
        return 0.5 * x * std::erfc(-x * std::sqrt(0.5));
      case Kind::silu:
        return x / (1.0 + std::exp(-x));
      case Kind::mish:
        return x != x ? x : x * std::tanh(softplus(x));
      case Kind::softplus:
        return x != x ? x : softplus(x);
      case Kind::hard_sigmoid:
        return hard(x);
      case Kind::hard_swish:
        return x * hard(x);
      case Kind::sin:
        return std::sin(x);
      case Kind::cos:
        return std::cos(x);
      case Kind::reciprocal:
        return 1.0 / x;
      case Kind::rsqrt:
        return 1.0 / std::sqrt(x);
      case Kind::softsign:
        return x / (1.0 + std::fabs(x));
      default:
        return x;
    }
  }

  FloatMode mode_;
  Kind kind_;
  bool bm1684_;
  float alpha_, beta_;
  bool guarded_ = false;
  TaylorExp taylor_;
};

}  // namespace bittrue
