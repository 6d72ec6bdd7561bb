#include "kernels/conv_i8/conv_i8_words.h"

#include <algorithm>
#include <cstring>

#include "engine/stage_attributes.h"
#include "kernels/conv_i8/padded_image.h"
#include "kernels/gemm_i8/packed_words.h"
#include "kernels/gemm_i8/word_operands.h"
#include "kernels/path.h"
#include "kernels/scratch.h"
#include "kernels/stage/vector_stage.h"
#include "ops/window.h"

namespace bittrue {

namespace {

constexpr int64_t panel_bytes = 24 * 1024;    // of a strip that stays in the first-level cache
constexpr int64_t k_block_bytes = 48 * 1024;  // of a tile that is multiplied at once
constexpr int64_t largest_strip_tiles = 16;
constexpr int64_t least_strip_tiles = 4;  // so that the rows that the output stage gets are long

// Consecutive output pixels whose sources are equally spaced.
struct Segment {
  int64_t source;  // of tap (0, 0)
  int64_t size;
};

class ConvI8Words final : public Op {
 public:
  ConvI8Words(const NodeSpec& node, const WordGemm& gemm, const WordOperands& operands, const PackedWords* packed)
      : gemm_(gemm),
        window_(read_window(node, {node.inputs[1]->shape[2], node.inputs[1]->shape[3]})),
        group_(node.attributes.integer("group", 1)),
        x_zero_point_(node.attributes.integer("x_zero_point", 0)),
        is_signed_(node.inputs[0]->dtype == DType::int8),
        image_(window_, node.inputs[0]->shape[1], node.inputs[0]->shape[2], node.inputs[0]->shape[3],
               node.outputs[0]->shape[2], node.outputs[0]->shape[3]),
        K_(node.inputs[1]->shape[1] * window_.taps()),
        per_group_(node.outputs[0]->shape[1] / group_),
        OW_(node.outputs[0]->shape[3]),
        pixels_(node.outputs[0]->shape[2] * OW_),
        stage_(read_output_stage(node, node.outputs[0]->shape[1]), operands.bias, operands.largest,
               node.outputs[0]->dtype),
        weights_(packed, packed + group_) {
    const int64_t IC = node.inputs[1]->shape[1];
    for (int64_t k = 0; k < K_; ++k) {
      const int64_t tap = k / IC;
      offsets_.push_back(k % IC * image_.plane() + tap / window_.kw * window_.dilation_h * image_.padded_width +
                         tap % window_.kw * window_.dilation_w);
    }
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    const Split split = split_for(context.pool.threads());
    const int64_t image_bytes = image_.channels * image_.height * image_.width;
    for (int64_t n = 0; n < out[0].dim(0); ++n) {
      Source source{in[0].data + n * image_bytes, (out[0].dim(0) - n) * image_bytes};
      if (!image_.same_as_input()) {
        uint8_t* padded = scratch_bytes(ScratchUse::image, image_.bytes());
        image_.fill(source.data, static_cast<uint8_t>(x_zero_point_), padded, context.pool);
        source = {padded, image_.bytes()};
      }
      uint8_t* y = out[0].data + n * group_ * per_group_ * pixels_ * stage_.value_bytes();
      const int64_t jobs = group_ * split.strips * split.parts;
      context.pool.parallel_for(jobs, 1, [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; ++job)
          run_job(split, source, job / (split.strips * split.parts), job / split.parts % split.strips,
                  job % split.parts, y);
      });
    }
  }

 private:
  // The work of one image: strips of pixels, and parts of the output channels where strips are too few for the threads.
  struct Split {
    int64_t strip_tiles, strips, parts;
  };
  struct Source {
    const uint8_t* data;
    int64_t bytes;
  };

  int64_t word_bytes() const { return gemm_.tile_pixels() * int64_t(sizeof(uint32_t)); }  // of one k word of a tile
  int64_t k_block() const { return k_block_bytes / word_bytes(); }
  int64_t k_words() const { return weights_[0].k_words(); }
  int64_t tile_stride() const { return k_words() * gemm_.tile_pixels(); }

  Split split_for(int64_t threads) const {
    const int64_t tiles = (pixels_ + gemm_.tile_pixels() - 1) / gemm_.tile_pixels();
    int64_t strip_tiles = std::max(least_strip_tiles, panel_bytes / (k_words() * word_bytes()));
    strip_tiles = std::min({strip_tiles, largest_strip_tiles, tiles});
    const int64_t wanted_jobs = threads == 1 ? 1 : 4 * threads;
    while (strip_tiles > 1 && group_ * ((tiles + strip_tiles - 1) / strip_tiles) < wanted_jobs) strip_tiles /= 2;
    const int64_t strips = (tiles + strip_tiles - 1) / strip_tiles;
    const int64_t parts = threads == 1 ? 1 : (2 * threads + group_ * strips - 1) / (group_ * strips);
    return {strip_tiles, strips, std::min(parts, weights_[0].blocks())};
  }

  void run_job(const Split& split, const Source& source, int64_t g, int64_t strip, int64_t part, uint8_t* y) const {
    const int64_t width = split.strip_tiles * gemm_.tile_pixels();
    const int64_t first = strip * width, size = std::min(width, pixels_ - first);
    uint32_t* panel = scratch<uint32_t>(ScratchUse::panel, split.strip_tiles * tile_stride());
    gather(source, g * (image_.channels / group_) * image_.plane(), first, size, panel);
    const int64_t blocks = weights_[0].blocks();
    const int64_t begin = blocks * part / split.parts * gemm_.lanes;
    const int64_t end = std::min(blocks * (part + 1) / split.parts * gemm_.lanes, per_group_);
    multiply(panel, g, begin, end, first, size, y);
  }

  // Segments of the pixels [first, first + size).
  void segments(int64_t first, int64_t size, std::vector<Segment>& all) const {
    all.clear();
    for (int64_t p = first; p < first + size;) {
      const int64_t oy = p / OW_, ox = p % OW_, length = std::min(OW_ - ox, first + size - p);
      const int64_t source = oy * window_.stride_h * image_.padded_width + ox * window_.stride_w;
      if (!all.empty() && all.back().source + all.back().size * window_.stride_w == source)
        all.back().size += length;
      else
        all.push_back({source, length});
      p += length;
    }
  }

  // Finds the pixels of the segments eight at a time; false if a unit touches more than two segments.
  bool units_of(const std::vector<Segment>& all, int64_t count, std::vector<PixelUnit>& units) const {
    units.clear();
    if (window_.stride_w > 2) return false;
    size_t s = 0;
    for (int64_t pixel = 0, begin = 0; static_cast<int64_t>(units.size()) < count; pixel += unit_pixels) {
      while (s < all.size() && pixel >= begin + all[s].size) begin += all[s++].size;
      if (s == all.size()) {  // beyond the strip
        units.push_back(units.back());
        continue;
      }
      const int64_t first = all[s].source + (pixel - begin) * window_.stride_w, left = begin + all[s].size - pixel;
      if (left >= unit_pixels || s + 1 == all.size()) {
        units.push_back({first, first, 64});
      } else {
        if (left + all[s + 1].size < unit_pixels && s + 2 < all.size()) return false;
        units.push_back({first, all[s + 1].source, 8 * left});
      }
    }
    return true;
  }

  void copy(const uint8_t* from, int64_t size, uint8_t* to) const {
    if (window_.stride_w == 1)
      std::memcpy(to, from, static_cast<size_t>(size));
    else
      for (int64_t i = 0; i < size; ++i) to[i] = from[i * window_.stride_w];
  }

  void gather(const Source& source, int64_t group_offset, int64_t first, int64_t size, uint32_t* panel) const {
    thread_local std::vector<Segment> all;
    thread_local std::vector<PixelUnit> in_place, in_copy;
    segments(first, size, all);
    const int64_t vectors = (size + gemm_.lanes - 1) / gemm_.lanes;
    const int64_t unit_count = vectors * gemm_.lanes / unit_pixels;
    const bool direct = units_of(all, unit_count, in_place);
    int64_t reach = 0;
    for (const PixelUnit& u : in_place)
      reach = std::max(reach, std::max(u.first, u.second) + unit_pixels * window_.stride_w);
    in_copy.clear();
    for (int64_t i = 0; i < unit_count; ++i) in_copy.push_back({i * unit_pixels, i * unit_pixels, 64});
    const int64_t row_bytes = vectors * gemm_.lanes + PaddedImage::slack;
    uint8_t* copies = scratch_bytes(ScratchUse::rows, gemm_.values_per_word * row_bytes);
    for (int64_t word = 0; word < k_words(); ++word) {
      const int64_t k = word * gemm_.values_per_word;
      const auto values = static_cast<int>(std::min<int64_t>(gemm_.values_per_word, K_ - k));
      const int64_t* offsets = offsets_.data() + k;
      const uint8_t* rows[4];
      bool copied = !direct;
      for (int i = 0; i < values; ++i) copied = copied || group_offset + offsets[i] + reach > source.bytes;
      for (int i = 0; i < values; ++i) {
        rows[i] = source.data + group_offset + offsets[i];
        if (!copied) continue;
        uint8_t* to = copies + i * row_bytes;
        for (const Segment& s : all) {
          copy(rows[i] + s.source, s.size, to);
          to += s.size;
        }
        rows[i] = copies + i * row_bytes;
      }
      for (int i = values; i < gemm_.values_per_word; ++i) rows[i] = rows[0];  // their weights are zero
      const PixelUnits pixels =
          copied ? PixelUnits{in_copy.data(), vectors, 1} : PixelUnits{in_place.data(), vectors, window_.stride_w};
      gemm_.interleave(rows, pixels, is_signed_, static_cast<int32_t>(x_zero_point_),
                       panel + word * gemm_.tile_pixels(), tile_stride());
    }
  }

  // The channels [begin, end) of group g at the pixels [first, first + size).
  void multiply(const uint32_t* panel, int64_t g, int64_t begin, int64_t end, int64_t first, int64_t size,
                uint8_t* y) const {
    // A last vector with few pixels is left to the other orientation, whose vectors are channels.
    const int64_t rest = size % gemm_.lanes <= gemm_.lanes / 4 ? size % gemm_.lanes : 0;
    const int64_t full = size - rest;
    const int64_t width = (full + gemm_.lanes - 1) / gemm_.lanes * gemm_.lanes;
    const PackedWords& weights = weights_[static_cast<size_t>(g)];
    for (int64_t p = full; p < size; ++p) one_pixel(panel, weights, g, begin, end, p, first, y);
    if (full == 0) return;
    const int64_t tiles = (full + gemm_.tile_pixels() - 1) / gemm_.tile_pixels();
    if (tiles * k_words() * word_bytes() <= panel_bytes) {  // weights once, pixels from the first-level cache
      int32_t* sums = scratch<int32_t>(ScratchUse::sums, gemm_.tile_rows * width);
      for (int64_t c = begin; c < end; c += gemm_.tile_rows) {
        strip_rows(panel, weights, c, 0, k_words(), full, sums, width);
        store_rows(sums, width, g, c, std::min<int64_t>(gemm_.tile_rows, end - c), first, full, y);
      }
      return;
    }
    int32_t* sums = scratch<int32_t>(ScratchUse::sums, (end - begin + gemm_.tile_rows) * width);
    for (int64_t k = 0; k < k_words(); k += k_block())
      for (int64_t p = 0; p < full; p += gemm_.tile_pixels())
        for (int64_t c = begin; c < end; c += gemm_.tile_rows)
          one_tile(panel, weights, c, k, std::min(k_block(), k_words() - k), p, full, sums + (c - begin) * width,
                   width);
    store_rows(sums, width, g, begin, end - begin, first, full, y);
  }

  void one_tile(const uint32_t* panel, const PackedWords& weights, int64_t c, int64_t k, int64_t words, int64_t p,
                int64_t full, int32_t* sums, int64_t width) const {
    const int64_t left = std::min<int64_t>(full - p, gemm_.tile_pixels());
    const auto vectors = static_cast<int>((left + gemm_.lanes - 1) / gemm_.lanes);
    gemm_.multiply_pixels(weights.at(c, k), panel + p / gemm_.tile_pixels() * tile_stride() + k * gemm_.tile_pixels(),
                          words, vectors, k > 0, sums + p, width);
  }

  void strip_rows(const uint32_t* panel, const PackedWords& weights, int64_t c, int64_t k, int64_t words, int64_t full,
                  int32_t* sums, int64_t width) const {
    for (int64_t p = 0; p < full; p += gemm_.tile_pixels()) one_tile(panel, weights, c, k, words, p, full, sums, width);
  }

  void store_rows(const int32_t* sums, int64_t width, int64_t g, int64_t c, int64_t rows, int64_t first, int64_t full,
                  uint8_t* y) const {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t channel = g * per_group_ + c + r;
      stage_.apply_row(sums + r * width, full, channel, y + (channel * pixels_ + first) * stage_.value_bytes());
    }
  }

  void one_pixel(const uint32_t* panel, const PackedWords& weights, int64_t g, int64_t begin, int64_t end, int64_t p,
                 int64_t first, uint8_t* y) const {
    const int64_t blocks = (end - begin + gemm_.lanes - 1) / gemm_.lanes;
    int32_t* sums = scratch<int32_t>(ScratchUse::sums, blocks * gemm_.lanes);
    gemm_.multiply_channels(weights.at(begin), weights.block_stride(), blocks,
                            panel + p / gemm_.tile_pixels() * tile_stride() + p % gemm_.tile_pixels(),
                            gemm_.tile_pixels(), k_words(), sums);
    const int64_t bytes = stage_.value_bytes();
    uint8_t* values = scratch_bytes(ScratchUse::rows, (end - begin) * bytes);
    stage_.apply_pixels(sums, {1, g * per_group_ + begin, end - begin, 0, 0}, values);
    for (int64_t c = begin; c < end; ++c)
      std::memcpy(y + ((g * per_group_ + c) * pixels_ + first + p) * bytes, values + (c - begin) * bytes,
                  static_cast<size_t>(bytes));
  }

  const WordGemm& gemm_;
  Window window_;
  int64_t group_;
  int64_t x_zero_point_;
  bool is_signed_;
  PaddedImage image_;
  int64_t K_, per_group_, OW_, pixels_;
  VectorStage stage_;
  std::vector<PackedWords> weights_;  // one per group
  std::vector<int64_t> offsets_;      // of the source of every k, from the first channel of the group
};

}  // namespace

std::unique_ptr<Op> make_conv_i8_words(const NodeSpec& node, const WordGemm* gemm) {
  const ConstTensor w = node.constant(1);
  if (!gemm || !path_available(gemm->path) || !w.present() || w.elements() == 0) return nullptr;
  const Window window = read_window(node, {w.dim(2), w.dim(3)});
  const int64_t group = node.attributes.integer("group", 1);
  const int64_t OC = w.dim(0), IC = w.dim(1), taps = window.taps(), per_group = OC / group;
  const Shape &x = node.inputs[0]->shape, &y = node.outputs[0]->shape;
  if (node.outputs[0]->elements() == 0 || (group > 1 && IC == 1)) return nullptr;
  const int64_t x_zero_point = node.attributes.integer("x_zero_point", 0);
  const DTypeInfo& type = info(node.inputs[0]->dtype);
  const PaddedImage image(window, x[1], x[2], x[3], y[2], y[3]);
  if (image.has_padding() && (x_zero_point < type.min || x_zero_point > type.max)) return nullptr;
  const std::vector<int64_t> w_zero_point = node.attributes.integers("w_zero_point", {0});
  const auto value = [&](int64_t oc, int64_t k) {  // k runs over taps, then channels
    return load_int(w, (oc * IC + k % IC) * taps + k / IC) - Requantizer::at(w_zero_point, oc);
  };
  const auto operands = word_operands(node, *gemm, x_zero_point, OC, IC * taps, value);
  if (!operands) return nullptr;
  std::vector<PackedWords> packed;
  for (int64_t g = 0; g < group; ++g)
    packed.emplace_back(*gemm, per_group, IC * taps, [&](int64_t c, int64_t k) { return value(g * per_group + c, k); });
  return std::make_unique<ConvI8Words>(node, *gemm, *operands, packed.data());
}

}  // namespace bittrue
