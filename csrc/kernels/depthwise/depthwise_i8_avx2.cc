// Depthwise convolution on NHWC images. Every tap of a run of output pixels is an address and a stride; where the
// window leaves the image, the address is that of a row of padding, so that nothing is copied.
#include "arith/saturate.h"
#include "engine/stage_attributes.h"
#include "kernels/depthwise/depthwise_operands.h"
#include "kernels/depthwise/packed_taps.h"
#include "kernels/inside_columns.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"
#include "ops/window.h"

namespace bittrue {

namespace {

constexpr int64_t pixels_at_once = 64;  // their sums stay in the first-level cache
constexpr int64_t least_pixels = 8;     // of several rows, if one is shorter
constexpr int64_t readable_beyond = 64;
constexpr int64_t jobs_per_thread = 4;

class DepthwiseI8Avx2 final : public Op {
 public:
  DepthwiseI8Avx2(const NodeSpec& node, VectorStage stage, PackedTaps taps)
      : window_(read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]})),
        C_(node.inputs[0]->shape[1]),
        H_(node.inputs[0]->shape[2]),
        W_(node.inputs[0]->shape[3]),
        OH_(node.outputs[0]->shape[2]),
        OW_(node.outputs[0]->shape[3]),
        columns_at_once_(std::min(OW_, pixels_at_once)),
        rows_at_once_(std::min(OH_, std::max<int64_t>(1, least_pixels / OW_))),
        inside_(window_, W_, OW_),
        stage_(std::move(stage)),
        taps_(std::move(taps)),
        padding_(static_cast<size_t>(columns_at_once_ * window_.stride_w * C_ + readable_beyond),
                 static_cast<uint8_t>(node.attributes.integer("x_zero_point", 0))) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t bands = (OH_ + rows_at_once_ - 1) / rows_at_once_;
    const int64_t strips = (OW_ + columns_at_once_ - 1) / columns_at_once_, chunks = out[0].dim(0) * bands * strips;
    const int64_t wanted = context.pool.threads() == 1 ? 1 : jobs_per_thread * context.pool.threads();
    const int64_t parts = std::clamp<int64_t>(wanted / std::max<int64_t>(chunks, 1), 1, taps_.blocks());
    context.pool.parallel_for(chunks * parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t job = begin; job < end; ++job) {
        const int64_t chunk = job / parts, part = job % parts;
        const int64_t n = chunk / (bands * strips), oy = chunk / strips % bands * rows_at_once_;
        const int64_t ox = chunk % strips * columns_at_once_;
        const Chunk where{oy, std::min(OH_, oy + rows_at_once_), ox, std::min(OW_, ox + columns_at_once_)};
        run_chunk(in[0].data + n * H_ * W_ * C_, where, taps_.blocks() * part / parts,
                  taps_.blocks() * (part + 1) / parts, out[0].data + n * OH_ * OW_ * C_ * stage_.value_bytes());
      }
    });
  }

 private:
  // Output rows and columns. Several rows are whole rows, so that the pixels of a chunk are neighbours in the output.
  struct Chunk {
    int64_t row_begin, row_end, column_begin, column_end;
  };
  // Neighbouring pixels of a row whose taps move by one stride.
  struct Run {
    int64_t pixels;
    const uint8_t** taps;
  };

  // The blocks [begin, end) of channels of a chunk.
  void run_chunk(const uint8_t* x, const Chunk& chunk, int64_t begin, int64_t end, uint8_t* y) const {
    Run runs[pixels_at_once];
    const auto count = static_cast<int64_t>(taps_.taps().size());
    const uint8_t** addresses = scratch<const uint8_t*>(ScratchUse::rows, pixels_at_once * count);
    int used = 0;
    for (int64_t oy = chunk.row_begin; oy < chunk.row_end; ++oy)
      for (int64_t ox = chunk.column_begin; ox < chunk.column_end; ++used) {
        runs[used] = {inside_.run(ox, chunk.column_end), addresses + used * count};
        find_taps(x, oy, ox, runs[used].taps);
        ox += runs[used].pixels;
      }
    const int64_t pixels = (chunk.row_end - chunk.row_begin) * (chunk.column_end - chunk.column_begin);
    const int64_t y_stride = C_ * stage_.value_bytes();
    y += (chunk.row_begin * OW_ + chunk.column_begin) * y_stride;
    int32_t* sums = scratch<int32_t>(ScratchUse::sums, pixels * tap_block);
    for (int64_t b = begin; b < end; ++b) {
      const int64_t c = b * tap_block;
      const TapBlock block = taps_.block(b);
      int32_t* to = sums;
      for (int i = 0; i < used; ++i) {
        sum_taps_avx2(block, runs[i].taps, c, runs[i].pixels, window_.stride_w * C_, to);
        to += runs[i].pixels * tap_block;
      }
      stage_.apply_pixels(sums, {pixels, c, std::min(tap_block, C_ - c), tap_block, y_stride},
                          y + c * stage_.value_bytes());
    }
  }

  void find_taps(const uint8_t* x, int64_t oy, int64_t ox, const uint8_t** addresses) const {
    for (int64_t tap : taps_.taps()) {
      const int64_t iy = oy * window_.stride_h - window_.pad_top + tap / window_.kw * window_.dilation_h;
      const int64_t ix = ox * window_.stride_w - window_.pad_left + tap % window_.kw * window_.dilation_w;
      const bool is_padding = iy < 0 || iy >= H_ || ix < 0 || ix >= W_;
      *addresses++ = is_padding ? padding_.data() : x + (iy * W_ + ix) * C_;
    }
  }

  Window window_;
  int64_t C_, H_, W_, OH_, OW_;
  int64_t columns_at_once_, rows_at_once_;
  InsideColumns inside_;
  VectorStage stage_;
  PackedTaps taps_;
  std::vector<uint8_t> padding_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_depthwise_i8_avx2(const NodeSpec& node) {
  const auto operands = path_available("avx2") ? depthwise_operands(node) : std::nullopt;
  if (!operands) return nullptr;
  const auto& [C, zero_point, weights, sums] = *operands;
  const ValueRange x{std::min(node.ranges[0].low, zero_point), std::max(node.ranges[0].high, zero_point)};
  auto packed = PackedTaps::pack(weights, info(node.inputs[0]->dtype).min < 0, x);
  if (!packed) return nullptr;
  std::vector<int32_t> bias;
  for (int64_t c = 0; c < C; ++c) {
    const auto i = static_cast<size_t>(c);
    bias.push_back(static_cast<int32_t>(wrap(sums.bias[i] + packed->correction(c) - zero_point * sums.weights[i], 32)));
  }
  return std::make_unique<DepthwiseI8Avx2>(
      node, VectorStage(read_output_stage(node, C), bias, sums.largest, node.outputs[0]->dtype), std::move(*packed));
}

}  // namespace bittrue
