// Histogram of absolute values for calibration.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace bittrue {

// Counts of |x| in `counts.size()` bins of the given width: bin = min(floor(|x| / width), bins - 1), the quotient in
// double. Exact zeros are not counted: every symmetric scale represents them without error.
inline void add_abs_histogram(const float* x, int64_t n, double width, std::vector<int64_t>& counts) {
  const auto last = static_cast<double>(counts.size() - 1);
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] == 0.0f) continue;
    const double bin = std::floor(std::fabs(static_cast<double>(x[i])) / width);
    ++counts[static_cast<size_t>(bin < last ? bin : last)];
  }
}

}  // namespace bittrue
