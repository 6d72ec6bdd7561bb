// Ops of one 8-bit input with parameters for each channel: what the reference op makes of all bytes, a table a channel.
// Looked up element by element, in blocks of channels whose tables stay in the first-level cache.
#include <algorithm>
#include <numeric>

#include "kernels/run_reference.h"

namespace bittrue {

namespace {

constexpr int64_t codes = 256;
constexpr int64_t block_channels = 64;

class ChannelTables final : public Op {
 public:
  ChannelTables(int64_t channels, std::vector<uint8_t> tables) : channels_(channels), tables_(std::move(tables)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t pixels = in[0].elements() / channels_;
    context.pool.parallel_for(pixels, elementwise_grain / channels_ + 1, [&](int64_t begin, int64_t end) {
      for (int64_t c0 = 0; c0 < channels_; c0 += block_channels) {
        const int64_t count = std::min(block_channels, channels_ - c0);
        const uint8_t* tables = tables_.data() + c0 * codes;
        for (int64_t p = begin; p < end; ++p) {
          const uint8_t* x = in[0].data + p * channels_ + c0;
          uint8_t* y = out[0].data + p * channels_ + c0;
          for (int64_t c = 0; c < count; ++c) y[c] = tables[c * codes + x[c]];
        }
      }
    });
  }

 private:
  int64_t channels_;
  std::vector<uint8_t> tables_;  // [channel][byte]
};

}  // namespace

std::unique_ptr<Op> make_kernel_channel_tables_generic(const NodeSpec& node) {
  const Shape& shape = node.inputs[0]->shape;
  if (!is_8_bit(node.inputs[0]->dtype) || !is_8_bit(node.outputs[0]->dtype) || shape.size() < 2) return nullptr;
  if (node.inputs[0]->elements() == 0 || node.attributes.integer("axis", 1) != 1) return nullptr;
  // Only 4-D tensors are NHWC.
  if (shape.size() != 4 && node.inputs[0]->elements() != shape[0] * shape[1]) return nullptr;
  const TensorType x_type{node.inputs[0]->dtype, {1, shape[1], codes}}, y_type{node.outputs[0]->dtype, x_type.shape};
  std::vector<uint8_t> all(static_cast<size_t>(x_type.elements())), tables(all.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint8_t>(i % codes);
  std::vector<ConstTensor> in = {{&x_type, all.data()}};
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    in.push_back(node.constant(i));
    if (!in.back().present()) return nullptr;
  }
  run_reference(node, in, {&y_type, tables.data()});
  return std::make_unique<ChannelTables>(shape[1], std::move(tables));
}

}  // namespace bittrue
