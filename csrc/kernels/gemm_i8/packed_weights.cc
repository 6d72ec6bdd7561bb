#include "kernels/gemm_i8/packed_weights.h"

#include <algorithm>
#include <array>

namespace bittrue {

namespace {

constexpr int largest_group = 4;
constexpr int64_t largest_narrow = INT16_MAX;

// The weights of one channel in one group of words, four bytes a word, and what must be multiplied apart from them.
struct GroupWeights {
  std::array<std::array<int16_t, 4>, largest_group> kept{}, apart{};
  bool splits = false;
};

int positive(int v) { return v > 0 ? v : 0; }

// Moves the excess of the weights of one sign in one 16-bit lane, which holds two values of each word, to `apart`.
bool limit_lane(GroupWeights& group, int words, int lane, int sign, int64_t limit) {
  int64_t total = 0;
  for (int i = 0; i < words; ++i)
    for (int j = 0; j < 2; ++j) total += positive(sign * group.kept[i][2 * lane + j]);
  for (int i = 0; i < words && total > limit; ++i) {
    int64_t room = limit;  // the extra word is a 16-bit sum by itself
    for (int j = 2 * lane; j < 2 * lane + 2; ++j) {
      const auto moved =
          static_cast<int16_t>(std::min<int64_t>({positive(sign * group.kept[i][j]), total - limit, room}));
      if (moved <= 0) continue;
      group.kept[i][j] = static_cast<int16_t>(group.kept[i][j] - sign * moved);
      group.apart[i][j] = static_cast<int16_t>(group.apart[i][j] + sign * moved);
      group.splits = true;
      total -= moved;
      room -= moved;
    }
  }
  return total <= limit;
}

bool limit_group(GroupWeights& group, int words, int64_t limit) {
  for (int lane = 0; lane < 2; ++lane)
    for (int sign : {1, -1})
      if (!limit_lane(group, words, lane, sign, limit)) return false;
  return true;
}

// Whether a whole group keeps the limit, as nearly all do.
bool keeps_limit(const int16_t* values, int words, int64_t limit) {
  int positive_sum[2] = {}, sum[2] = {};
  for (int i = 0; i < words; ++i)
    for (int j = 0; j < 4; ++j) {
      positive_sum[j / 2] += positive(values[4 * i + j]);
      sum[j / 2] += values[4 * i + j];
    }
  return std::max({positive_sum[0], positive_sum[1], positive_sum[0] - sum[0], positive_sum[1] - sum[1]}) <= limit;
}

uint32_t word_of_bytes(const int16_t* values) {
  uint32_t word = 0;
  for (int j = 0; j < 4; ++j) word |= static_cast<uint32_t>(static_cast<uint8_t>(values[j])) << 8 * j;
  return word;
}

// Words [first, first + words) of a segment of `length` weights.
GroupWeights group_of(const int16_t* segment, int64_t length, int64_t first, int words) {
  GroupWeights group;
  const int16_t* from = segment + 4 * first;
  const int64_t count = std::min<int64_t>(4 * words, length - 4 * first);
  for (int64_t j = 0; j < count; ++j) group.kept[static_cast<size_t>(j / 4)][static_cast<size_t>(j % 4)] = from[j];
  return group;
}

// Looking at the words of a pixel, before the blocks share the result; in times of a word of one block, estimated.
constexpr double check_of_pixel = 12.0, check_of_word = 0.3;

int64_t narrow_limit(int64_t largest_x) { return largest_narrow / std::max<int64_t>(largest_x, 1); }

}  // namespace

PackedWeights::PackedWeights(const TileGemm& gemm, int64_t channels, const PixelSegments& segments)
    : gemm_(&gemm), channels_(channels), segments_(segments) {
  for (int64_t offset : segments.offsets) offsets_.push_back(offset * gemm_word_bytes / gemm.values_per_word);
}

int64_t PackedWeights::block_vectors(int64_t block) const {
  const int64_t left = channels_ - block * gemm_->block_channels();
  return std::min<int64_t>(gemm_->vectors, (left + gemm_->lanes - 1) / gemm_->lanes);
}

TileOperands PackedWeights::operands(int64_t block, const uint8_t* const* pixels) const {
  const auto b = static_cast<size_t>(block);
  return {pixels,
          offsets_.data(),
          static_cast<int64_t>(offsets_.size()),
          segments_.words(*gemm_),
          extras_[b].data(),
          static_cast<int64_t>(extras_[b].size()),
          words_.data() + starts_[b]};
}

void PackedWeights::multiply(int64_t block, const uint8_t* const* pixels, int64_t count, int32_t* sums,
                             int64_t sum_stride) const {
  gemm_->multiply(operands(block, pixels), count, static_cast<int>(block_vectors(block)), sums, sum_stride);
}

bool PackedWeights::multiply_to_bytes(int64_t block, const uint8_t* const* pixels, int64_t count,
                                      const TileBytes& to) const {
  return gemm_->multiply_to_bytes &&
         gemm_->multiply_to_bytes(operands(block, pixels), count, static_cast<int>(block_vectors(block)), to);
}

void PackedWeights::add_word(int64_t block, int64_t word, const uint8_t* values, int32_t* sums) const {
  const int64_t vectors = block_vectors(block);
  gemm_->add_word(values, words_.data() + starts_[static_cast<size_t>(block)] + word * vectors * gemm_->lanes,
                  static_cast<int>(vectors), sums);
}

bool PackedWeights::pack_block(const int16_t* weights, int64_t block, int64_t largest_x) {
  const int64_t row = block_vectors(block) * gemm_->lanes, first = block * gemm_->block_channels();
  const int64_t channels = std::min(row, channels_ - first), length = segments_.length;
  const int64_t segment_words = segments_.words(*gemm_), count = static_cast<int64_t>(segments_.offsets.size());
  std::vector<int64_t>& extras = extras_.emplace_back();
  starts_.push_back(static_cast<int64_t>(words_.size()));
  words_.resize(words_.size() + static_cast<size_t>(count * segment_words * row));
  uint32_t* words = words_.data() + starts_.back();
  if (gemm_->values_per_word == 2) {
    for (int64_t s = 0; s < count; ++s)
      for (int64_t w = 0; w < segment_words; ++w) {
        const bool whole = 2 * w + 1 < length;
        for (int64_t c = 0; c < channels; ++c) {
          const int16_t* values = weights + ((first + c) * count + s) * length + 2 * w;
          const auto low = static_cast<uint16_t>(values[0]), high = static_cast<uint16_t>(whole ? values[1] : 0);
          words[(s * segment_words + w) * row + c] = static_cast<uint32_t>(high) << 16 | low;
        }
      }
    return true;
  }
  const int group_words = std::max(gemm_->narrow_words, 1);
  const int64_t limit = gemm_->narrow_words > 0 && !gemm_->checks_pixels ? narrow_limit(largest_x) : INT64_MAX;
  std::vector<uint32_t> extra_words;
  for (int64_t s = 0; s < count; ++s)
    for (int64_t k = 0; k < segment_words;) {
      // Words that do not fill a group are multiplied one by one.
      const int size = segment_words - k >= group_words ? group_words : 1;
      std::array<int64_t, largest_group> extra_of{-1, -1, -1, -1};
      const bool whole = 4 * (k + size) <= length;
      for (int64_t c = 0; c < channels; ++c) {
        const int16_t* segment = weights + ((first + c) * count + s) * length;
        if (whole && keeps_limit(segment + 4 * k, size, limit)) {
          for (int i = 0; i < size; ++i)
            words[(s * segment_words + k + i) * row + c] = word_of_bytes(segment + 4 * (k + i));
          continue;
        }
        GroupWeights group = group_of(segment, length, k, size);
        if (!limit_group(group, size, limit)) return false;
        for (int i = 0; i < size; ++i) {
          const auto w = static_cast<size_t>(i);
          words[(s * segment_words + k + i) * row + c] = word_of_bytes(group.kept[w].data());
          const uint32_t apart = group.splits ? word_of_bytes(group.apart[w].data()) : 0;
          if (apart == 0) continue;
          if (extra_of[w] < 0) {
            extra_of[w] = static_cast<int64_t>(extras.size());
            extras.push_back(offsets_[static_cast<size_t>(s)] + (k + i) * gemm_word_bytes);
            extra_words.resize(extra_words.size() + static_cast<size_t>(row));
          }
          extra_words[static_cast<size_t>(extra_of[w] * row + c)] = apart;
        }
      }
      k += size;
    }
  words_.insert(words_.end(), extra_words.begin(), extra_words.end());
  return true;
}

std::optional<PackedWeights> PackedWeights::pack(const TileGemm& gemm, const int16_t* weights, int64_t channels,
                                                 const PixelSegments& segments, int64_t largest_x) {
  PackedWeights packed(gemm, channels, segments);
  const int64_t blocks = (channels + gemm.block_channels() - 1) / gemm.block_channels();
  packed.words_.reserve(static_cast<size_t>(blocks * gemm.block_channels() * packed.segments_.words(gemm)) *
                        segments.offsets.size());
  for (int64_t block = 0; block < blocks; ++block)
    if (!packed.pack_block(weights, block, largest_x)) return std::nullopt;
  packed.words_.shrink_to_fit();
  return packed;
}

const TileGemm* PackedWeights::choose(const std::vector<const TileGemm*>& ways, const int16_t* weights,
                                      int64_t channels, const PixelSegments& segments, int64_t largest_x) {
  const TileGemm* best = nullptr;
  double best_cost = 0;
  for (const TileGemm* way : ways) {
    if (way->checks_pixels && segments.offsets.size() > 1) continue;
    const int64_t words = segments.words(*way), group = std::max(way->narrow_words, 1);
    double cost = static_cast<double>(segments.offsets.size()) *
                  (way->word_cost * static_cast<double>(words / group * group) + static_cast<double>(words % group));
    if (way->checks_pixels) {
      const int64_t blocks = (channels + way->block_channels() - 1) / way->block_channels();
      cost += (check_of_pixel + check_of_word * static_cast<double>(words)) / static_cast<double>(blocks);
    } else if (way->narrow_words > 0) {
      const auto packed = pack(*way, weights, std::min<int64_t>(channels, way->block_channels()), segments, largest_x);
      if (!packed) continue;
      cost += static_cast<double>(packed->extras_[0].size());
    }
    if (best && cost >= best_cost) continue;
    best = way;
    best_cost = cost;
  }
  return best;
}

}  // namespace bittrue
