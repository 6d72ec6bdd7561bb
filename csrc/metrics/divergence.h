// Divergences between a clipped histogram and its quantized self, for the threshold methods KL, SYMKL and JSD.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace bittrue {

constexpr double kInsideLogarithms = 1e-30;

// Of the published Sophgo code for the candidate that keeps the first `kept` bins, kept a multiple of `levels`: every
// step rounded to binary32 except the logarithms, sums in ascending order. Evidence: source.
inline float published_divergence(const std::vector<float>& counts, float total, int64_t kept, int64_t levels) {
  const auto bins = static_cast<int64_t>(counts.size());
  float last = counts[static_cast<size_t>(kept - 1)];
  for (int64_t j = kept; j < bins; ++j) last += counts[static_cast<size_t>(j)];
  float inside = 0.0f;
  for (int64_t j = 0; j < kept; ++j) inside += counts[static_cast<size_t>(j)];
  if (inside == 0.0f) return std::numeric_limits<float>::infinity();  // everything lies beyond the candidate
  const int64_t width = kept / levels;
  float divergence = 0.0f;
  for (int64_t level = 0; level < levels; ++level) {
    const float* group = counts.data() + level * width;
    float mass = 0.0f;
    int64_t nonempty = 0;
    for (int64_t j = 0; j < width; ++j) {
      mass += group[j];
      nonempty += group[j] > 0.0f;
    }
    const float spread = mass / static_cast<float>(nonempty ? nonempty : 1) / inside;
    for (int64_t j = 0; j < width; ++j) {
      const double p = (level * width + j == kept - 1 ? last : group[j]) / total;
      const double q = group[j] > 0.0f ? spread : 0.0f;
      const double term = p * (std::log10(p + kInsideLogarithms) - std::log10(q + kInsideLogarithms));
      divergence = static_cast<float>(static_cast<double>(divergence) + term);
    }
  }
  return divergence;
}

enum class Divergence { kKl, kSymmetric, kJensenShannon };

// P(j): the kept bins, the outliers in the last one, as shares. Q(j): the same bins in `levels` groups, the mass of a
// group spread evenly over its bins that are not empty, as shares of what was kept. All in double, ascending.
inline double divergence(const std::vector<int64_t>& counts, int64_t kept, int64_t levels, Divergence kind) {
  double total = 0.0;
  double inside = 0.0;
  for (size_t j = 0; j < counts.size(); ++j) {
    total += static_cast<double>(counts[j]);
    if (static_cast<int64_t>(j) < kept) inside = total;
  }
  if (inside == 0.0) return std::numeric_limits<double>::infinity();
  const auto entropy = [](double a, double b) {
    return a > 0 ? a * (std::log(a + kInsideLogarithms) - std::log(b + kInsideLogarithms)) : 0.0;
  };
  double forward = 0.0;
  double backward = 0.0;
  for (int64_t level = 0; level < levels; ++level) {
    const int64_t begin = level * kept / levels;
    const int64_t end = (level + 1) * kept / levels;
    double mass = 0.0;
    int64_t nonempty = 0;
    for (int64_t j = begin; j < end; ++j) {
      mass += static_cast<double>(counts[static_cast<size_t>(j)]);
      nonempty += counts[static_cast<size_t>(j)] > 0;
    }
    for (int64_t j = begin; j < end; ++j) {
      const auto count = static_cast<double>(counts[static_cast<size_t>(j)]);
      const double p = (j == kept - 1 ? count + (total - inside) : count) / total;
      const double q = count > 0 ? mass / static_cast<double>(nonempty) / inside : 0.0;
      const double other = kind == Divergence::kJensenShannon ? (p + q) / 2 : q;
      forward += entropy(p, other);
      if (kind != Divergence::kKl) backward += entropy(q, kind == Divergence::kSymmetric ? p : other);
    }
  }
  return kind == Divergence::kJensenShannon ? (forward + backward) / 2 : forward + backward;
}

}  // namespace bittrue
