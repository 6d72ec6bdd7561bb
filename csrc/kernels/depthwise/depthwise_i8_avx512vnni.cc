// Depthwise convolution on NHWC images with VNNI: the instruction that multiplies bytes adds four products to a 32-bit
// sum. The four are values of one channel in rows below each other. A column of them is gathered once for all outputs
// whose windows cover it.
#include "kernels/stage/vector_stage.h"

#if defined(__x86_64__) && !defined(BITTRUE_EMULATE_VNNI)

#include <algorithm>

#include "arith/saturate.h"
#include "engine/stage_attributes.h"
#include "kernels/avx512_intrinsics.h"
#include "kernels/depthwise/depthwise_operands.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "ops/window.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vnni,avx2")

#include "kernels/stage/lanes_avx512.h"

namespace bittrue {

namespace {

constexpr int64_t block_channels = 64;
constexpr int64_t vector_bytes = 64;
constexpr int vectors = 4;              // of sums of a block
constexpr int64_t group_rows = 4;       // that one instruction multiplies
constexpr int64_t pixels_at_once = 32;  // whose columns stay in the first-level cache
constexpr int64_t jobs_per_thread = 4;

// Unpacking works in 128-bit quarters: lane i of vector v holds this channel of a block.
constexpr int64_t channel_at(int64_t v, int64_t i) { return i / 4 * 16 + v * 4 + i % 4; }

// Columns of an image whose rows may lie outside of it.
struct Columns {
  const uint8_t* const* rows;  // of the first column
  const int64_t* steps;        // from one column to the next
  int64_t count;
  int64_t inside_begin, inside_end;  // the columns that are not padding
  const uint8_t* padding;
};

// `Rows` rows below each other, 64 channels of each, as four vectors of words of a channel for every column.
template <bool Signed, int Rows>
void gather_group(const Columns& columns, int64_t first_row, int64_t channel, __m512i* to, int64_t to_step) {
  for (int64_t c = 0; c < columns.count; ++c, to += to_step) {
    const bool is_padding = c < columns.inside_begin || c >= columns.inside_end;
    __m512i row[group_rows];
#pragma GCC unroll 4
    for (int r = 0; r < group_rows; ++r) {
      row[r] = _mm512_setzero_si512();
      if (r >= Rows) continue;
      const int64_t i = first_row + r;
      row[r] = _mm512_loadu_si512((is_padding ? columns.padding : columns.rows[i] + c * columns.steps[i]) + channel);
      if (Signed) row[r] = _mm512_xor_si512(row[r], _mm512_set1_epi8(INT8_MIN));
    }
    const __m512i low_01 = _mm512_unpacklo_epi8(row[0], row[1]), high_01 = _mm512_unpackhi_epi8(row[0], row[1]);
    const __m512i low_23 = _mm512_unpacklo_epi8(row[2], row[3]), high_23 = _mm512_unpackhi_epi8(row[2], row[3]);
    _mm512_store_si512(to, _mm512_unpacklo_epi16(low_01, low_23));
    _mm512_store_si512(to + 1, _mm512_unpackhi_epi16(low_01, low_23));
    _mm512_store_si512(to + 2, _mm512_unpacklo_epi16(high_01, high_23));
    _mm512_store_si512(to + 3, _mm512_unpackhi_epi16(high_01, high_23));
  }
}

// to[(column * groups + group) * vectors + vector]
template <bool Signed>
void gather(const Columns& columns, int64_t rows, int64_t channel, __m512i* to) {
  const int64_t step = (rows + group_rows - 1) / group_rows * vectors;
  for (int64_t row = 0; row < rows; row += group_rows, to += vectors) {
    const int64_t count = rows - row;
    if (count == 1) gather_group<Signed, 1>(columns, row, channel, to, step);
    if (count == 2) gather_group<Signed, 2>(columns, row, channel, to, step);
    if (count == 3) gather_group<Signed, 3>(columns, row, channel, to, step);
    if (count >= 4) gather_group<Signed, 4>(columns, row, channel, to, step);
  }
}

// What the outputs of one block of channels are computed from.
struct Block {
  const uint8_t* weights;       // [column of the window][group of rows][vector]
  const VectorStageRule* rule;  // its channels in the order of the lanes
  int64_t first_channel, channels;
  int64_t groups;
};

// Outputs of `Pixels` pixels whose columns lie `stride` apart, `dilation` apart within a window.
template <VectorStageRule::Kind K, int Pixels>
inline void finish_pixels(const Block& block, const __m512i* columns, int64_t kw, int64_t stride, int64_t dilation,
                          const ByteStore512& bytes, uint8_t* y, int64_t y_stride) {
  __m512i sums[Pixels][vectors];
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[p][v] = _mm512_setzero_si512();
  const uint8_t* w = block.weights;
  for (int64_t kx = 0; kx < kw; ++kx)
    for (int64_t g = 0; g < block.groups; ++g, w += vectors * vector_bytes)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
#pragma GCC unroll 4
        for (int p = 0; p < Pixels; ++p) {
          const __m512i x = columns[((p * stride + kx * dilation) * block.groups + g) * vectors + v];
          sums[p][v] = _mm512_dpbusd_epi32(sums[p][v], x, _mm512_loadu_si512(w + v * vector_bytes));
        }
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    const Requant512<K> requant(*block.rule, block.first_channel + v * 16);
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) sums[p][v] = requant.apply(sums[p][v]);
  }
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) store_bytes<vectors>(bytes.pack(sums[p]), y + p * y_stride, block.channels);
}

class DepthwiseI8Vnni final : public Op {
 public:
  DepthwiseI8Vnni(const NodeSpec& node, VectorStageRule rule, std::vector<uint8_t> weights)
      : window_(read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]})),
        C_(node.inputs[0]->shape[1]),
        H_(node.inputs[0]->shape[2]),
        W_(node.inputs[0]->shape[3]),
        OH_(node.outputs[0]->shape[2]),
        OW_(node.outputs[0]->shape[3]),
        is_signed_(node.inputs[0]->dtype == DType::int8),
        groups_((window_.kh + group_rows - 1) / group_rows),
        blocks_((C_ + block_channels - 1) / block_channels),
        rule_(std::move(rule)),
        weights_(std::move(weights)),
        padding_(static_cast<size_t>(blocks_ * block_channels),
                 static_cast<uint8_t>(node.attributes.integer("x_zero_point", 0))) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t strips = (OW_ + pixels_at_once - 1) / pixels_at_once, chunks = out[0].dim(0) * OH_ * strips;
    const int64_t wanted = context.pool.threads() == 1 ? 1 : jobs_per_thread * context.pool.threads();
    const int64_t parts = std::clamp<int64_t>(wanted / std::max<int64_t>(chunks, 1), 1, blocks_);
    context.pool.parallel_for(chunks * parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t job = begin; job < end; ++job) {
        const int64_t chunk = job / parts, part = job % parts;
        const int64_t n = chunk / (OH_ * strips), oy = chunk / strips % OH_, ox = chunk % strips * pixels_at_once;
        run_strip(in[0].data + n * H_ * W_ * C_, oy, ox, std::min(pixels_at_once, OW_ - ox), blocks_ * part / parts,
                  blocks_ * (part + 1) / parts, out[0].data + ((n * OH_ + oy) * OW_ + ox) * C_);
      }
    });
  }

 private:
  // The blocks [begin, end) of channels of `pixels` neighbouring outputs.
  void run_strip(const uint8_t* x, int64_t oy, int64_t ox, int64_t pixels, int64_t begin, int64_t end,
                 uint8_t* y) const {
    const int64_t left = ox * window_.stride_w - window_.pad_left;
    const auto** rows = scratch<const uint8_t*>(ScratchUse::rows, 2 * window_.kh);
    auto* steps = reinterpret_cast<int64_t*>(rows + window_.kh);
    for (int64_t ky = 0; ky < window_.kh; ++ky) {
      const int64_t iy = oy * window_.stride_h - window_.pad_top + ky * window_.dilation_h;
      const bool is_padding = iy < 0 || iy >= H_;
      rows[ky] = is_padding ? padding_.data() : x + (iy * W_ + left) * C_;
      steps[ky] = is_padding ? 0 : C_;
    }
    const int64_t count = (pixels - 1) * window_.stride_w + (window_.kw - 1) * window_.dilation_w + 1;
    const Columns columns{rows, steps, count, -left, W_ - left, padding_.data()};
    const int64_t column_vectors = groups_ * vectors;
    __m512i* gathered = scratch<__m512i>(ScratchUse::panel, count * column_vectors);
    for (int64_t b = begin; b < end; ++b) {
      const int64_t channel = b * block_channels;
      (is_signed_ ? gather<true> : gather<false>)(columns, window_.kh, channel, gathered);
      const Block block{weights_.data() + b * window_.kw * column_vectors * vector_bytes, &rule_, channel,
                        std::min(block_channels, C_ - channel), groups_};
      if (rule_.kind == VectorStageRule::Kind::shift_add)
        finish<VectorStageRule::Kind::shift_add>(block, gathered, pixels, y + channel);
      else
        finish<VectorStageRule::Kind::multiply_high>(block, gathered, pixels, y + channel);
    }
  }

  template <VectorStageRule::Kind K>
  void finish(const Block& block, const __m512i* columns, int64_t pixels, uint8_t* y) const {
    const ByteStore512 bytes(rule_);
    const int64_t step = window_.stride_w * groups_ * vectors;
    int64_t p = 0;
    for (; p + 4 <= pixels; p += 4)
      finish_pixels<K, 4>(block, columns + p * step, window_.kw, window_.stride_w, window_.dilation_w, bytes,
                          y + p * C_, C_);
    for (; p < pixels; ++p)
      finish_pixels<K, 1>(block, columns + p * step, window_.kw, window_.stride_w, window_.dilation_w, bytes,
                          y + p * C_, C_);
  }

  Window window_;
  int64_t C_, H_, W_, OH_, OW_;
  bool is_signed_;
  int64_t groups_;  // of rows of the window
  int64_t blocks_;  // of channels
  VectorStageRule rule_;
  std::vector<uint8_t> weights_;
  std::vector<uint8_t> padding_;
};

// [block][column][group of rows][vector][lane][row of the group]
std::vector<uint8_t> pack(const NodeWeights& weights, const Window& window) {
  const int64_t blocks = (weights.channels + block_channels - 1) / block_channels;
  const int64_t groups = (window.kh + group_rows - 1) / group_rows;
  std::vector<uint8_t> packed(static_cast<size_t>(blocks * window.kw * groups * block_channels * group_rows));
  uint8_t* to = packed.data();
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t kx = 0; kx < window.kw; ++kx)
      for (int64_t g = 0; g < groups; ++g)
        for (int64_t v = 0; v < vectors; ++v)
          for (int64_t lane = 0; lane < 16; ++lane)
            for (int64_t r = 0; r < group_rows; ++r, ++to) {
              const int64_t channel = b * block_channels + channel_at(v, lane), ky = g * group_rows + r;
              if (channel < weights.channels && ky < window.kh)
                *to = static_cast<uint8_t>(
                    weights.values[static_cast<size_t>((channel * window.kh + ky) * window.kw + kx)]);
            }
  return packed;
}

// The parameters of the channels in the order of the lanes of whole blocks.
std::vector<int32_t> in_lanes(const std::vector<int32_t>& values, int64_t channels) {
  std::vector<int32_t> ordered;
  for (int64_t first = 0; first < channels; first += block_channels)
    for (int64_t v = 0; v < vectors; ++v)
      for (int64_t lane = 0; lane < 16; ++lane) {
        const int64_t channel = first + channel_at(v, lane);
        ordered.push_back(channel < channels ? values[static_cast<size_t>(channel)] : 0);
      }
  return ordered;
}

}  // namespace

std::unique_ptr<Op> make_kernel_depthwise_i8_avx512vnni(const NodeSpec& node) {
  const auto operands = path_available("avx512vnni") ? depthwise_operands(node) : std::nullopt;
  if (!operands || !operands->weights.fit_bytes) return nullptr;
  const int64_t C = operands->channels;
  if (C <= block_channels / 2) return nullptr;  // most of every vector would be empty: AVX2 is faster
  const NodeSums& sums = operands->sums;
  const int64_t offset = operands->zero_point - info(node.inputs[0]->dtype).min;
  std::vector<int32_t> bias;  // x - type.min is multiplied where x - zero_point is meant
  for (size_t c = 0; c < sums.bias.size(); ++c)
    bias.push_back(static_cast<int32_t>(wrap(sums.bias[c] - offset * sums.weights[c], 32)));
  VectorStageRule rule = VectorStage(read_output_stage(node, C), bias, sums.largest, node.outputs[0]->dtype).rule();
  if (!stages_in_registers(rule)) return nullptr;
  rule.bias = in_lanes(rule.bias, C);
  rule.shift = in_lanes(rule.shift, C);
  if (rule.kind == VectorStageRule::Kind::multiply_high) rule.multiplier = in_lanes(rule.multiplier, C);
  const Window window = read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]});
  return std::make_unique<DepthwiseI8Vnni>(node, std::move(rule), pack(operands->weights, window));
}

}  // namespace bittrue

#pragma GCC pop_options

#else

#include "engine/op.h"

namespace bittrue {

std::unique_ptr<Op> make_kernel_depthwise_i8_avx512vnni(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif
