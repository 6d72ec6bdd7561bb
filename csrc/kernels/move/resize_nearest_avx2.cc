// Resize to the nearest pixel on NHWC images: pixels are copied whole.
#include <cstring>
#include <numeric>

#include "kernels/path.h"
#include "kernels/run_reference.h"
#include "ops/broadcast.h"

namespace bittrue {

namespace {

// The index that the reference op reads for each index of axis 2 or 3: what it makes of the indices themselves.
std::vector<int32_t> source_indices(const NodeSpec& node, size_t axis) {
  TensorType x{DType::int32, {1, 1, 1, 1}}, y = x;
  x.shape[axis] = node.inputs[0]->shape[axis];
  y.shape[axis] = node.outputs[0]->shape[axis];
  std::vector<int32_t> indices(static_cast<size_t>(x.elements())), sources(static_cast<size_t>(y.elements()));
  std::iota(indices.begin(), indices.end(), 0);
  run_reference(node, {{&x, reinterpret_cast<const uint8_t*>(indices.data())}},
                {&y, reinterpret_cast<uint8_t*>(sources.data())});
  return sources;
}

class ResizeNearestAvx2 final : public Op {
 public:
  explicit ResizeNearestAvx2(const NodeSpec& node)
      : rows_(source_indices(node, 2)),
        columns_(source_indices(node, 3)),
        H_(node.inputs[0]->shape[2]),
        W_(node.inputs[0]->shape[3]),
        pixel_bytes_(node.inputs[0]->shape[1] * element_bytes(node.inputs[0]->dtype)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const auto OH = static_cast<int64_t>(rows_.size()), OW = static_cast<int64_t>(columns_.size());
    const int64_t row_bytes = OW * pixel_bytes_;
    context.pool.parallel_for(
        out[0].dim(0) * OH, elementwise_grain / (row_bytes + 1) + 1, [&](int64_t begin, int64_t end) {
          const uint8_t* last = nullptr;  // the row that was read for the row of the output before
          for (int64_t row = begin; row < end; ++row) {
            const uint8_t* x = in[0].data + (row / OH * H_ + rows_[static_cast<size_t>(row % OH)]) * W_ * pixel_bytes_;
            uint8_t* y = out[0].data + row * row_bytes;
            if (x == last)
              std::memcpy(y, y - row_bytes, static_cast<size_t>(row_bytes));
            else
              for (int64_t ox = 0; ox < OW; ++ox)
                std::memcpy(y + ox * pixel_bytes_, x + columns_[static_cast<size_t>(ox)] * pixel_bytes_,
                            static_cast<size_t>(pixel_bytes_));
            last = x;
          }
        });
  }

 private:
  std::vector<int32_t> rows_, columns_;  // of the input, for those of the output
  int64_t H_, W_, pixel_bytes_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_resize_nearest_avx2(const NodeSpec& node) {
  const TensorType &x = *node.inputs[0], &y = *node.outputs[0];
  if (!path_available("avx2") || node.attributes.text("mode", "nearest") != "nearest") return nullptr;
  if (x.shape.size() != 4 || x.elements() == 0 || y.elements() == 0 || info(x.dtype).bits < 8 || x.dtype != y.dtype)
    return nullptr;
  return std::make_unique<ResizeNearestAvx2>(node);
}

}  // namespace bittrue
