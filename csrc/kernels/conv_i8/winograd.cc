#include "kernels/conv_i8/winograd.h"

namespace bittrue {

namespace winograd {

void transform_weights(const int16_t (&window)[9], int16_t (&transformed)[products]) {
  static constexpr int g[inputs][3] = {{1, 0, 0}, {-1, -1, -1}, {-1, 1, -1}, {1, 2, 4}, {1, -2, 4}, {0, 0, 1}};
  int columns[inputs][3];
  for (int i = 0; i < inputs; ++i)
    for (int x = 0; x < 3; ++x) columns[i][x] = g[i][0] * window[x] + g[i][1] * window[3 + x] + g[i][2] * window[6 + x];
  for (int i = 0; i < inputs; ++i)
    for (int j = 0; j < inputs; ++j)
      transformed[i * inputs + j] =
          static_cast<int16_t>(columns[i][0] * g[j][0] + columns[i][1] * g[j][1] + columns[i][2] * g[j][2]);
}

}  // namespace winograd

}  // namespace bittrue
