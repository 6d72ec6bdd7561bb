#include "kernels/conv_i8/winograd.h"

#include <cstddef>
#include <vector>

namespace bittrue {

namespace winograd {

void transform_weights(const int16_t* window, int64_t channels, int64_t row, int16_t* const (&planes)[inputs]) {
  static constexpr int g[inputs][3] = {{1, 0, 0}, {-1, -1, -1}, {-1, 1, -1}, {1, 2, 4}, {1, -2, 4}, {0, 0, 1}};
  const auto combine = [channels](const int (&factor)[3], const int16_t* a, const int16_t* b, const int16_t* c,
                                  int16_t* to) {
    for (int64_t i = 0; i < channels; ++i)
      to[i] = static_cast<int16_t>(factor[0] * a[i] + factor[1] * b[i] + factor[2] * c[i]);
  };
  std::vector<int16_t> columns(static_cast<size_t>(3 * channels));
  int16_t* const column[3] = {columns.data(), columns.data() + channels, columns.data() + 2 * channels};
  for (int64_t x = 0; x < 3; ++x)
    combine(g[row], window + x * channels, window + (3 + x) * channels, window + (6 + x) * channels, column[x]);
  for (int64_t i = 0; i < inputs; ++i) combine(g[i], column[0], column[1], column[2], planes[i]);
}

}  // namespace winograd

}  // namespace bittrue
