// The instructions of tile_gemm_loops.h in plain C++, for vectors of any size.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/gemm_i8/tile_gemm.h"
#include "kernels/gemm_i8/tile_gemm_loops.h"

namespace bittrue {

namespace {

template <int Lanes>
struct Portable {
  struct Vector {
    int32_t lane[Lanes];
  };
  static constexpr int lanes = Lanes;
  static constexpr int group = 1;

  static Vector zero() { return {}; }
  static Vector load(const uint32_t* words) {
    Vector v;
    std::memcpy(v.lane, words, sizeof v.lane);
    return v;
  }
  static void store(int32_t* to, const Vector& v) { std::memcpy(to, v.lane, sizeof v.lane); }
  // Sums are modulo 2^32.
  static int32_t plus(int32_t a, int32_t b) {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  }
};

template <int Lanes>
struct PortableBytes : Portable<Lanes> {
  using Vector = typename Portable<Lanes>::Vector;

  template <int Words>
  static Vector add(Vector sum, const uint8_t* x, const Vector (&w)[Words]) {
    const int32_t a = x[0], b = x[1], c = x[2], d = x[3];
    for (int i = 0; i < Lanes; ++i) {
      const auto word = static_cast<uint32_t>(w[0].lane[i]);
      const auto weight = [word](int j) -> int32_t { return static_cast<int8_t>(word >> 8 * j); };
      sum.lane[i] = Portable<Lanes>::plus(sum.lane[i], a * weight(0) + b * weight(1) + c * weight(2) + d * weight(3));
    }
    return sum;
  }
};

template <int Lanes>
struct PortableHalves : Portable<Lanes> {
  using Vector = typename Portable<Lanes>::Vector;

  template <int Words>
  static Vector add(Vector sum, const uint8_t* x, const Vector (&w)[Words]) {
    int16_t a[2];
    std::memcpy(a, x, sizeof a);
    for (int i = 0; i < Lanes; ++i) {
      const auto word = static_cast<uint32_t>(w[0].lane[i]);
      const int32_t low = a[0] * static_cast<int16_t>(word), high = a[1] * static_cast<int16_t>(word >> 16);
      sum.lane[i] = Portable<Lanes>::plus(sum.lane[i], Portable<Lanes>::plus(low, high));
    }
    return sum;
  }
};

// The ways of a path whose tiles have `Sums` vectors of sums.
template <int Lanes, int Sums, int Vectors>
std::vector<TileGemm> portable_ways(const char* path) {
  return {tile_gemm<PortableBytes<Lanes>, Sums, Vectors>(path, 4),
          tile_gemm<PortableHalves<Lanes>, Sums, Vectors>(path, 2)};
}

}  // namespace

}  // namespace bittrue
