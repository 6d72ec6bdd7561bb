// Transposed convolution on the vector paths. With strides of s the outputs fall into s x s phases: those of one phase
// see the same taps of the kernel, on neighbouring inputs, so that each phase is an ordinary convolution with strides
// of 1 whose results lie s pixels apart.
#include <algorithm>

#include "engine/stage_attributes.h"
#include "kernels/conv_i8/window_image.h"
#include "kernels/gemm_i8/product.h"
#include "kernels/path.h"
#include "ops/window.h"

namespace bittrue {

namespace {

constexpr int64_t largest_chunk = 96;  // pixels of a row

// The taps of one phase along one axis: output first + stride * j sees the inputs j + lowest, j + lowest + 1, ..
struct PhaseAxis {
  int64_t first = 0, size = 0;  // the first output, and how many there are
  int64_t lowest = 0;
  std::vector<int64_t> taps;  // of the kernel, for rising inputs
};

PhaseAxis phase_axis(int64_t phase, int64_t stride, int64_t pad, int64_t kernel, int64_t outputs) {
  PhaseAxis axis;
  axis.first = phase;
  axis.size = (outputs - phase + stride - 1) / stride;
  for (int64_t tap = kernel - 1; tap >= 0; --tap)
    if ((phase + pad - tap) % stride == 0) axis.taps.push_back(tap);
  if (!axis.taps.empty()) axis.lowest = (phase + pad - axis.taps.front()) / stride;
  return axis;
}

struct Phase {
  PhaseAxis rows, columns;
  WindowImage image;
  Product product;
};

class ConvTransposeI8 final : public Op {
 public:
  ConvTransposeI8(const Window& window, int64_t groups, std::vector<Phase> phases)
      : window_(window), groups_(groups), phases_(std::move(phases)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t OC = out[0].dim(1), OH = out[0].dim(2), OW = out[0].dim(3);
    for (int64_t n = 0; n < out[0].dim(0); ++n)
      for (const Phase& phase : phases_) {
        const int64_t pixel = OC * phase.product.value_bytes();
        uint8_t* y = out[0].data + ((n * OH + phase.rows.first) * OW + phase.columns.first) * pixel;
        const PixelGrid grid = phase.image.pixels_of(in[0], n, phase.product.input(), context.pool);
        const int64_t chunks = (phase.columns.size + largest_chunk - 1) / largest_chunk;
        context.pool.parallel_for(phase.rows.size * chunks, 1, [&](int64_t begin, int64_t end) {
          for (int64_t job = begin; job < end; ++job) {
            const int64_t row = job / chunks, column = job % chunks * largest_chunk;
            run_chunk(phase, grid, row, column, std::min(largest_chunk, phase.columns.size - column),
                      y + (row * window_.stride_h * OW + column * window_.stride_w) * pixel, window_.stride_w * pixel);
          }
        });
      }
  }

 private:
  void run_chunk(const Phase& phase, const PixelGrid& grid, int64_t row, int64_t column, int64_t count, uint8_t* y,
                 int64_t y_stride) const {
    const uint8_t* addresses[largest_chunk];
    for (int64_t g = 0; g < groups_; ++g) {
      for (int64_t p = 0; p < count; ++p)
        addresses[p] = grid.at(row, column + p) + g * phase.image.group_bytes(groups_, phase.product.input());
      phase.product.run(addresses, count, g, 0, phase.product.blocks(), y, y_stride);
    }
  }

  Window window_;
  int64_t groups_;
  std::vector<Phase> phases_;
};

std::optional<Phase> make_phase(const NodeSpec& node, const std::vector<TileGemm>& ways, const Window& window,
                                const PhaseAxis& rows, const PhaseAxis& columns) {
  const ConstTensor w = node.constant(1);
  const Shape &x = node.inputs[0]->shape, &y = node.outputs[0]->shape;
  const int64_t groups = node.attributes.integer("group", 1), per_group = w.dim(1), IC = x[1] / groups;
  Window part;
  part.kh = static_cast<int64_t>(rows.taps.size());
  part.kw = static_cast<int64_t>(columns.taps.size());
  part.pad_top = -rows.lowest;
  part.pad_left = -columns.lowest;
  std::vector<int64_t> order, starts;  // taps, then channels
  for (int64_t ky : rows.taps)
    for (int64_t kx : columns.taps)
      for (int64_t ic = 0; ic < IC; ++ic) order.push_back(ic * per_group * window.taps() + ky * window.kw + kx);
  for (int64_t oc = 0; oc < y[1]; ++oc)
    starts.push_back((oc / per_group * IC * per_group + oc % per_group) * window.taps());
  const auto weights = node_weights(w, node.attributes.integers("w_zero_point", {0}), starts, order);
  if (!weights) return std::nullopt;
  const WindowImage image(part, x, {y[0], y[1], rows.size, columns.size});
  auto product = Product::make(node, ways, node.attributes.integer("x_zero_point", 0), image.has_padding(),
                               image.segments(groups), groups, *weights);
  if (!product) return std::nullopt;
  return Phase{rows, columns, image, std::move(*product)};
}

std::unique_ptr<Op> make(const NodeSpec& node, const std::vector<TileGemm>& ways) {
  const ConstTensor w = node.constant(1);
  if (ways.empty() || !path_available(ways[0].path) || !w.present() || w.elements() == 0) return nullptr;
  if (node.outputs[0]->elements() == 0 || node.inputs[0]->elements() == 0) return nullptr;
  const Window window = read_window(node, {w.dim(2), w.dim(3)});
  if (window.dilation_h != 1 || window.dilation_w != 1) return nullptr;
  if (window.kh < window.stride_h || window.kw < window.stride_w) return nullptr;  // some outputs would see no tap
  const Shape& y = node.outputs[0]->shape;
  std::vector<Phase> phases;
  for (int64_t py = 0; py < std::min(window.stride_h, y[2]); ++py)
    for (int64_t px = 0; px < std::min(window.stride_w, y[3]); ++px) {
      auto phase = make_phase(node, ways, window, phase_axis(py, window.stride_h, window.pad_top, window.kh, y[2]),
                              phase_axis(px, window.stride_w, window.pad_left, window.kw, y[3]));
      if (!phase) return nullptr;
      phases.push_back(std::move(*phase));
    }
  return std::make_unique<ConvTransposeI8>(window, node.attributes.integer("group", 1), std::move(phases));
}

}  // namespace

BITTRUE_TILE_KERNEL(conv_transpose_i8, make)

}  // namespace bittrue
