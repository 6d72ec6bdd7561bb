// FloatMatMul: a (..,M,K) times b (..,K,N) plus bias (N), in binary32. Order plain: one accumulator over k; alternate:
// even and odd k by themselves, then added (the fully connected layer of BM1684). bias last.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/broadcast.h"
#include "ops/float_mode.h"

namespace bittrue {

class FloatMatMul final : public Op {
 public:
  explicit FloatMatMul(const NodeSpec& node)
      : mode_(read_float_mode(node)),
        alternate_(node.attributes.choice<int>("order", {"plain", "alternate"}, "plain") == 1),
        relu_(node) {
    if (node.inputs[0]->shape.size() < 2 || node.inputs[1]->shape.size() < 2)
      throw DataError("both inputs need two axes or more");
    const Shape &a = node.inputs[0]->shape, &b = node.inputs[1]->shape, &y = node.outputs[0]->shape;
    if (a.back() != b[b.size() - 2] || y.size() < 2 || y.back() != b.back() || y[y.size() - 2] != a[a.size() - 2])
      throw DataError("the shapes of a matrix product do not fit");
    require_entries(node, 2, b.back());
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<float> a = read_floats(in[0], mode_), b = read_floats(in[1], mode_);
    const bool has_bias = in.size() > 2 && in[2].present();
    const std::vector<float> bias = has_bias ? read_floats(in[2], mode_) : std::vector<float>();
    const Shape &as = in[0].shape(), &bs = in[1].shape(), &ys = out[0].shape();
    const int64_t M = ys[ys.size() - 2], N = ys.back(), K = as.back();
    const Shape batch(ys.begin(), ys.end() - 2);
    const std::vector<int64_t> a_batch = broadcast_offsets(Shape(as.begin(), as.end() - 2), batch);
    const std::vector<int64_t> b_batch = broadcast_offsets(Shape(bs.begin(), bs.end() - 2), batch);
    const int64_t blocks = (N + columns - 1) / columns;
    guarded_blocks(context, count(batch) * M * blocks, 1, mode_.flush, [&](int64_t begin, int64_t end) {
      std::vector<float> sums[2] = {std::vector<float>(columns), std::vector<float>(columns)};
      for (int64_t i = begin; i < end; ++i) {
        const int64_t line = i / blocks, n0 = i % blocks * columns, n1 = std::min(N, n0 + columns);
        const auto matrix = static_cast<size_t>(line / M);
        const float* row = a.data() + (a_batch[matrix] * M + line % M) * K;
        const float* right = b.data() + b_batch[matrix] * K * N + n0;
        for (auto& s : sums) std::fill(s.begin(), s.end(), 0.0f);
        for (int64_t k = 0; k < K; ++k) {
          float* sum = sums[alternate_ ? k & 1 : 0].data();
          for (int64_t n = 0; n < n1 - n0; ++n) sum[n] = add(sum[n], mul(row[k], right[k * N + n]));
        }
        float* y = out[0].as<float>() + line * N + n0;
        for (int64_t n = 0; n < n1 - n0; ++n) {
          float v = sums[0][static_cast<size_t>(n)];
          if (alternate_) v = add(v, sums[1][static_cast<size_t>(n)]);
          if (has_bias) v = add(v, bias[static_cast<size_t>(n0 + n)]);
          y[n] = mode_.stored(relu_.apply(v));
        }
      }
    });
  }

 private:
  static constexpr int64_t columns = 256;
  FloatMode mode_;
  bool alternate_;
  FloatRelu relu_;
};

}  // namespace bittrue
