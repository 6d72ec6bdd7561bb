// Boxes of detection layers, by Caffe-SSD's rules; every step is one rounding to binary32.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bittrue {

struct Box {
  float xmin, ymin, xmax, ymax;

  // 0 for inverted boxes.
  float area() const {
    const float width = xmax - xmin, height = ymax - ymin;
    return width < 0.0f || height < 0.0f ? 0.0f : width * height;
  }
};

// Intersection over union; 0 unless the boxes share a positive area. Comparisons with NaN are false, so a box with a
// NaN shares nothing.
inline float overlap(const Box& a, const Box& b) {
  const auto ordered = [](float low, float high) { return high - low > 0.0f; };
  if (!(ordered(a.xmin, b.xmax) && ordered(b.xmin, a.xmax) && ordered(a.ymin, b.ymax) && ordered(b.ymin, a.ymax)))
    return 0.0f;
  if (!(ordered(a.xmin, a.xmax) && ordered(b.xmin, b.xmax) && ordered(a.ymin, a.ymax) && ordered(b.ymin, b.ymax)))
    return 0.0f;
  const float width = std::min(a.xmax, b.xmax) - std::max(a.xmin, b.xmin);
  const float height = std::min(a.ymax, b.ymax) - std::max(a.ymin, b.ymin);
  const float common = width * height;
  return common / ((a.area() + b.area()) - common);
}

struct Suppression {
  float least_score;  // candidates lie above
  int64_t limit;      // of candidates, -1 for none
  float most_overlap;
  float eta;  // below 1, every kept box multiplies most_overlap by it while that is above 0.5

  // Indices of the kept boxes, the best first; equal scores by index. score(i) and box(i) for i in [0, n).
  template <class Score, class BoxOf>
  std::vector<int64_t> run(int64_t n, const Score& score, const BoxOf& box) const {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < n; ++i)
      if (score(i) > least_score) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return score(a) > score(b); });
    if (limit >= 0 && limit < static_cast<int64_t>(order.size())) order.resize(static_cast<size_t>(limit));
    std::vector<int64_t> kept;
    float threshold = most_overlap;
    for (const int64_t i : order) {
      const bool fits =
          std::all_of(kept.begin(), kept.end(), [&](int64_t k) { return overlap(box(i), box(k)) <= threshold; });
      if (!fits) continue;
      kept.push_back(i);
      if (eta < 1.0f && threshold > 0.5f) threshold *= eta;
    }
    return kept;
  }
};

}  // namespace bittrue
