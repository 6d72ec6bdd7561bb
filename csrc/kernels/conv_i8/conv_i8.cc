// Convolution on the vector paths. With NHWC a row of the window is one run of values, so that every output pixel is a
// row of a matrix product at its own address in the image: nothing is gathered. Images are copied only to write padding
// around them, or to bring their values into the form that is multiplied.
#include <algorithm>

#include "engine/stage_attributes.h"
#include "kernels/conv_i8/window_image.h"
#include "kernels/gemm_i8/product.h"
#include "kernels/path.h"
#include "kernels/scratch.h"

namespace bittrue {

namespace {

constexpr int64_t chunk_bytes =
    96 * 1024;  // of the image rows that a chunk of pixels reads: a part of the second-level cache
constexpr int64_t largest_chunk = 96;  // pixels
constexpr int64_t least_chunk = 24;
constexpr int64_t jobs_per_thread = 4;

class ConvI8 final : public Op {
 public:
  ConvI8(const NodeSpec& node, const WindowImage& image, int64_t groups, Product product)
      : image_(image),
        groups_(groups),
        channels_(node.outputs[0]->shape[1]),
        OW_(node.outputs[0]->shape[3]),
        pixels_(node.outputs[0]->shape[2] * OW_),
        product_(std::move(product)) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const int64_t y_stride = channels_ * product_.value_bytes();
    const int64_t chunk = chunk_for(context.pool.threads()), chunks = (pixels_ + chunk - 1) / chunk;
    const int64_t parts = parts_for(chunks * groups_, context.pool.threads());
    for (int64_t n = 0; n < out[0].dim(0); ++n) {
      const PixelGrid grid = image_.pixels_of(in[0], n, product_.input(), context.pool);
      uint8_t* y = out[0].data + n * pixels_ * y_stride;
      context.pool.parallel_for(chunks * groups_ * parts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; ++job) {
          const int64_t first = job / (groups_ * parts) * chunk, group = job / parts % groups_, part = job % parts;
          run_chunk(grid, first, std::min(chunk, pixels_ - first), group, part, parts, y + first * y_stride, y_stride);
        }
      });
    }
  }

 private:
  // Pixels of a chunk: all chunks are about equally large.
  int64_t chunk_for(int64_t threads) const {
    const int64_t tile = product_.tile_pixels();
    int64_t most = std::clamp(chunk_bytes / image_.bytes_per_pixel(product_.input()), tile, largest_chunk);
    if (threads > 1) {
      // Parts of the channels are better than smaller chunks, each of which reads all weights; but every part checks
      // all pixels.
      const int64_t parts = product_.checks_pixels() ? 1 : product_.blocks();
      const int64_t jobs = (jobs_per_thread * threads + parts - 1) / parts;
      most = std::min(most, std::max(least_chunk, pixels_ * groups_ / jobs));
    }
    const int64_t chunks = (pixels_ + most - 1) / most;
    return std::min((pixels_ + chunks - 1) / chunks + tile - 1, largest_chunk) / tile * tile;
  }

  // Into how many parts the channels of each chunk are divided: equal shares for the threads, if that is possible.
  int64_t parts_for(int64_t chunks, int64_t threads) const {
    if (threads == 1) return 1;
    const int64_t least = std::clamp<int64_t>((jobs_per_thread * threads + chunks - 1) / chunks, 1, product_.blocks());
    for (int64_t parts = least; parts <= product_.blocks() && parts < 2 * least; ++parts)
      if (chunks * parts % threads == 0) return parts;
    return least;
  }

  void run_chunk(const PixelGrid& grid, int64_t first, int64_t count, int64_t group, int64_t part, int64_t parts,
                 uint8_t* y, int64_t y_stride) const {
    const uint8_t* addresses[largest_chunk];
    for (int64_t p = 0, oy = first / OW_, ox = first % OW_; p < count; ++p) {
      addresses[p] = grid.at(oy, ox) + group * image_.group_bytes(groups_, product_.input());
      if (++ox < OW_) continue;
      ox = 0;
      ++oy;
    }
    const int64_t blocks = product_.blocks();
    product_.run(addresses, count, group, blocks * part / parts, blocks * (part + 1) / parts, y, y_stride);
  }

  WindowImage image_;
  int64_t groups_, channels_, OW_, pixels_;
  Product product_;
};

std::unique_ptr<Op> make(const NodeSpec& node, const std::vector<TileGemm>& ways) {
  const ConstTensor w = node.constant(1);
  if (ways.empty() || !path_available(ways[0].path) || !w.present() || w.elements() == 0) return nullptr;
  const int64_t groups = node.attributes.integer("group", 1), OC = w.dim(0), IC = w.dim(1);
  if (node.outputs[0]->elements() == 0 || (groups > 1 && IC == 1)) return nullptr;
  const Window window = read_window(node, {w.dim(2), w.dim(3)});
  const WindowImage image(window, node.inputs[0]->shape, node.outputs[0]->shape);
  std::vector<int64_t> order;  // taps, then channels
  for (int64_t tap = 0; tap < window.taps(); ++tap)
    for (int64_t ic = 0; ic < IC; ++ic) order.push_back(ic * window.taps() + tap);
  const auto weights =
      node_weights(w, node.attributes.integers("w_zero_point", {0}), steps(OC, IC * window.taps()), order);
  if (!weights) return nullptr;
  auto product = Product::make(node, ways, node.attributes.integer("x_zero_point", 0), image.has_padding(),
                               image.segments(groups), groups, *weights);
  return product ? std::make_unique<ConvI8>(node, image, groups, std::move(*product)) : nullptr;
}

}  // namespace

BITTRUE_TILE_KERNEL(conv_i8, make)

}  // namespace bittrue
