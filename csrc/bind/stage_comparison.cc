#include "bind/stage_comparison.h"

#include <algorithm>
#include <cstring>

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

}  // namespace

StageComparison compare_stages(const OutputStage& stage, DType type, int64_t channels, int bits, uint64_t seed,
                               int64_t pixels) {
  const int part_bits = bits == 31 ? bits : bits - 1;
  std::vector<int32_t> bias;
  for (int64_t c = 0; c < channels; ++c) bias.push_back(random_value(seed, part_bits));
  const VectorStage vector(stage, bias, int64_t(1) << bits, type);
  const TensorType any{type, {}};
  const int64_t bytes = vector.value_bytes(), stride = channels + readable_beyond;
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
  }
  return result;
}

}  // namespace bittrue
