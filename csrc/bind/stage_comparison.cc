#include "bind/stage_comparison.h"

#include <algorithm>
#include <cstring>

#include "kernels/gemm_i8/tile_gemm.h"
#include "kernels/path.h"
#include "kernels/stage/vector_stage.h"

namespace bittrue {

namespace {

constexpr int64_t pixels_at_once = 509;  // no multiple of a vector
constexpr int64_t readable_beyond = 15;  // sums, see StagePixels

// splitmix64
uint64_t next_random(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// In [-2^bits, 2^bits), with any number of significant bits.
int32_t random_value(uint64_t& state, int bits) {
  const uint64_t r = next_random(state);
  const auto removed = static_cast<int>((r >> 32) % static_cast<uint64_t>(bits + 1));
  return static_cast<int32_t>(static_cast<uint32_t>(r)) >> (31 - bits + removed);
}

int64_t different_values(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b, int64_t bytes) {
  int64_t different = 0;
  const auto size = static_cast<size_t>(bytes);
  for (size_t i = 0; i < a.size(); i += size) different += std::memcmp(&a[i], &b[i], size) != 0;
  return different;
}

// The way that multiplies 16-bit values and has an output stage in its tiles, if the processor has one.
const TileGemm* staging_way() {
  if (!path_available("avx512vnni")) return nullptr;
  const auto& ways = tile_gemms_avx512vnni();
  const auto way = std::find_if(ways.begin(), ways.end(),
                                [](const TileGemm& g) { return g.values_per_word == 2 && g.multiply_to_bytes; });
  return way == ways.end() ? nullptr : &*way;
}

// Tiles take no sums: here they are products of one word, two 16-bit values each. The channels are those of one block.
void compare_tiles(const TileGemm& way, const VectorStage& vector, const OutputStage& stage,
                   const std::vector<int32_t>& bias, int bits, uint64_t& seed, int64_t count, StageComparison& result) {
  const auto channels = static_cast<int64_t>(bias.size());
  const int value_bits = std::min(15, (bits - 1) / 2);
  const auto random_word = [&] {
    const auto low = static_cast<uint16_t>(random_value(seed, value_bits));
    return static_cast<uint32_t>(low) | static_cast<uint32_t>(random_value(seed, value_bits)) << 16;
  };
  const int vectors = static_cast<int>((channels + way.lanes - 1) / way.lanes);
  std::vector<uint32_t> weights(static_cast<size_t>(vectors * way.lanes)), words(static_cast<size_t>(count));
  for (uint32_t& word : weights) word = random_word();
  std::vector<const uint8_t*> pixels;
  for (uint32_t& word : words) {
    word = random_word();
    pixels.push_back(reinterpret_cast<const uint8_t*>(&word));
  }
  std::vector<uint8_t> out(static_cast<size_t>(count * channels)), want(out.size());
  const int64_t offset = 0;
  if (!way.multiply_to_bytes({pixels.data(), &offset, 1, 1, nullptr, 0, weights.data()}, count, vectors,
                             {&vector.rule(), 0, channels, out.data(), channels}))
    return;
  const TensorType any{vector.rule().type, {}};
  const auto half = [](uint32_t word, int i) -> int64_t { return static_cast<int16_t>(word >> 16 * i); };
  NoTally none;
  for (int64_t p = 0; p < count; ++p)
    for (int64_t c = 0; c < channels; ++c) {
      const uint32_t x = words[static_cast<size_t>(p)], w = weights[static_cast<size_t>(c)];
      const int64_t sum = half(x, 0) * half(w, 0) + half(x, 1) * half(w, 1);
      const int64_t biased = wrap(sum + bias[static_cast<size_t>(c)], 32);
      store_int(Tensor{&any, want.data()}, p * channels + c, stage.apply(biased, c, none));
    }
  result.sums_in_tiles += count * channels;
  result.different_in_tiles += different_values(out, want, 1);
}

}  // namespace

StageComparison compare_stages(const OutputStage& stage, DType type, int64_t channels, int bits, uint64_t seed,
                               int64_t pixels) {
  const int part_bits = bits == 31 ? bits : bits - 1;
  std::vector<int32_t> bias;
  for (int64_t c = 0; c < channels; ++c) bias.push_back(random_value(seed, part_bits));
  const VectorStage vector(stage, bias, int64_t(1) << bits, type);
  const TensorType any{type, {}};
  const int64_t bytes = vector.value_bytes(), stride = channels + readable_beyond;
  const TileGemm* way = staging_way();
  StageComparison result;
  result.vectorized = vector.vectorized();
  NoTally none;
  for (int64_t done = 0; done < pixels; done += pixels_at_once) {
    const int64_t count = std::min(pixels_at_once, pixels - done);
    const auto values = static_cast<size_t>(count * channels * bytes);
    std::vector<int32_t> by_pixel(static_cast<size_t>(count * stride)),
        by_channel(static_cast<size_t>(count * channels));
    std::vector<uint8_t> want_pixels(values), want_rows(values), pixels_out(values), rows_out(values);
    for (int64_t p = 0; p < count; ++p)
      for (int64_t c = 0; c < channels; ++c) {
        const int32_t sum = random_value(seed, part_bits);
        const int64_t want = stage.apply(wrap(int64_t(sum) + bias[static_cast<size_t>(c)], 32), c, none);
        by_pixel[static_cast<size_t>(p * stride + c)] = by_channel[static_cast<size_t>(c * count + p)] = sum;
        store_int(Tensor{&any, want_pixels.data()}, p * channels + c, want);
        store_int(Tensor{&any, want_rows.data()}, c * count + p, want);
      }
    vector.apply_pixels(by_pixel.data(), {count, 0, channels, stride, channels * bytes}, pixels_out.data());
    for (int64_t c = 0; c < channels; ++c)
      vector.apply_row(by_channel.data() + c * count, count, c, rows_out.data() + c * count * bytes);
    result.sums += count * channels;
    result.different_in_pixels += different_values(pixels_out, want_pixels, bytes);
    result.different_in_rows += different_values(rows_out, want_rows, bytes);
    if (way) compare_tiles(*way, vector, stage, bias, part_bits, seed, count, result);
  }
  return result;
}

}  // namespace bittrue
