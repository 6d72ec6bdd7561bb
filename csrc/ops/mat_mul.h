// MatMul: y = stage(bias[n] + sum over k of (a[..,m,k] - a_zero_point) * (b[..,k,n] - b_zero_point[n])).
// The leading dimensions broadcast. With a constant b this is the fully connected layer.
#pragma once

#include "engine/stage_attributes.h"
#include "ops/operand.h"
#include "ops/shapes.h"

namespace bittrue {

class MatMul final : public Op {
 public:
  explicit MatMul(const NodeSpec& node)
      : a_zero_point_(with_inputs(node, 2).attributes.integer("a_zero_point", 0)),
        b_zero_point_(node.attributes.integers("b_zero_point", {0})),
        stage_(read_output_stage(node, columns_of(node))),
        a_batch_(leading(node.inputs[0]->shape), leading(node.outputs[0]->shape)),
        b_batch_(leading(node.inputs[1]->shape), leading(node.outputs[0]->shape)) {
    if (node.inputs[0]->shape.back() != node.inputs[1]->shape[node.inputs[1]->shape.size() - 2])
      throw DataError("inner dimensions of the matrix product differ");
    const Shape &a = node.inputs[0]->shape, &y = node.outputs[0]->shape;
    const int64_t columns = columns_of(node);
    require(y.back() == columns && y[y.size() - 2] == a[a.size() - 2], "rows or columns of the product differ");
    require_per_channel(node, 2, columns);
    require_entries(b_zero_point_.size(), columns, "b_zero_point needs one entry or one per column");
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const std::vector<int32_t> a = widen(in[0]);
    const std::vector<int32_t> b = widen(in[1]);
    const bool has_bias = in.size() > 2 && in[2].present();
    const int64_t K = in[0].shape().back(), N = out[0].shape().back(), M = out[0].shape()[out[0].shape().size() - 2];
    context.for_blocks(out[0].elements() / (N ? N : 1), 1, [&](int64_t begin, int64_t end, auto& tally) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t batch = row / M, m = row % M;
        const int32_t* left = a.data() + (a_batch_.at(batch) * M + m) * K;
        const int32_t* right = b.data() + b_batch_.at(batch) * K * N;
        for (int64_t n = 0; n < N; ++n) {
          int64_t sum = has_bias ? load_int(in[2], n) : 0;
          const int64_t bz = Requantizer::at(b_zero_point_, n);
          for (int64_t k = 0; k < K; ++k) sum += (left[k] - a_zero_point_) * (right[k * N + n] - bz);
          store_int(out[0], row * N + n, stage_.apply(sum, n, tally));
        }
      }
    });
  }

 private:
  static int64_t columns_of(const NodeSpec& node) {
    require(node.inputs[1]->shape.size() >= 2, "a matrix product needs at least two dimensions");
    return node.inputs[1]->shape.back();
  }
  static Shape leading(const Shape& shape) {
    if (shape.size() < 2) throw DataError("a matrix product needs at least two dimensions");
    return Shape(shape.begin(), shape.end() - 2);
  }

  int64_t a_zero_point_;
  std::vector<int64_t> b_zero_point_;
  OutputStage stage_;
  Operand a_batch_, b_batch_;
};

}  // namespace bittrue
