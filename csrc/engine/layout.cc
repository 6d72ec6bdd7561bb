#include "engine/layout.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace bittrue {

namespace {

constexpr int64_t tile = 64;  // rows whose results are neighbours: a cache line of bytes
constexpr int64_t square = 16;
constexpr int64_t grain_elements = 16384;

// to[c * to_stride + r] = from[r * from_stride + c] of a square.
template <class T>
void transpose_square(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  for (int64_t c = 0; c < square; ++c)
    for (int64_t r = 0; r < square; ++r) to[c * to_stride + r] = from[r * from_stride + c];
}

#if defined(__SSE2__)
// Joining the bytes of row i with those of row i + 8 four times moves the bits of the row number to the column.
template <>
void transpose_square(const uint8_t* from, int64_t from_stride, uint8_t* to, int64_t to_stride) {
  __m128i rows[square], joined[square];
  for (int64_t r = 0; r < square; ++r)
    rows[r] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + r * from_stride));
  for (int round = 0; round < 4; ++round) {
    for (int64_t i = 0; i < square / 2; ++i) {
      joined[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + square / 2]);
      joined[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + square / 2]);
    }
    std::copy(joined, joined + square, rows);
  }
  for (int64_t c = 0; c < square; ++c) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + c * to_stride), rows[c]);
}
#endif

// to[c * rows + r] = from[r * columns + c] for the rows [begin, end) of a matrix of `rows` x `columns`.
template <class T>
void transpose_rows(const T* from, int64_t rows, int64_t columns, int64_t begin, int64_t end, T* to) {
  for (int64_t r0 = begin; r0 < end; r0 += tile)
    for (int64_t c0 = 0; c0 < columns; c0 += square)
      for (int64_t r1 = r0; r1 < std::min(end, r0 + tile); r1 += square) {
        const int64_t r2 = std::min(end, r1 + square), c1 = std::min(columns, c0 + square);
        if (r2 - r1 == square && c1 - c0 == square) {
          transpose_square(from + r1 * columns + c0, columns, to + c0 * rows + r1, rows);
          continue;
        }
        for (int64_t c = c0; c < c1; ++c)
          for (int64_t r = r1; r < r2; ++r) to[c * rows + r] = from[r * columns + c];
      }
}

template <class T, int64_t Columns>
void split_rows(const T* from, int64_t rows, int64_t begin, int64_t end, T* to) {
  for (int64_t r = begin; r < end; ++r)
    for (int64_t c = 0; c < Columns; ++c) to[c * rows + r] = from[r * Columns + c];
}

template <class T, int64_t Rows>
void join_rows(const T* from, int64_t columns, int64_t begin, int64_t end, T* to) {
  for (int64_t c = begin; c < end; ++c)
    for (int64_t r = 0; r < Rows; ++r) to[c * Rows + r] = from[r * columns + c];
}

// The transpose of `rows` x `columns`; pictures of three channels have loops of their own.
template <class T>
void transpose(const T* from, int64_t rows, int64_t columns, T* to, ThreadPool& pool) {
  if (rows == 3) {
    pool.parallel_for(columns, grain_elements, [=](int64_t b, int64_t e) { join_rows<T, 3>(from, columns, b, e, to); });
  } else if (columns == 3) {
    pool.parallel_for(rows, grain_elements, [=](int64_t b, int64_t e) { split_rows<T, 3>(from, rows, b, e, to); });
  } else {
    const int64_t blocks = (rows + tile - 1) / tile;
    pool.parallel_for(blocks, grain_elements / (tile * columns) + 1, [=](int64_t b, int64_t e) {
      transpose_rows(from, rows, columns, b * tile, std::min(rows, e * tile), to);
    });
  }
}

template <class T>
void convert(const TensorType& type, const uint8_t* from, Layout from_layout, uint8_t* to, ThreadPool& pool) {
  const int64_t channels = type.shape[1], pixels = type.shape[2] * type.shape[3], image = channels * pixels;
  const bool planes = from_layout == Layout::nchw;
  for (int64_t n = 0; n < type.shape[0]; ++n)
    transpose(reinterpret_cast<const T*>(from) + n * image, planes ? channels : pixels, planes ? pixels : channels,
              reinterpret_cast<T*>(to) + n * image, pool);
}

}  // namespace

bool layouts_differ(const TensorType& type) {
  return type.shape.size() == 4 && type.shape[1] > 1 && type.shape[2] * type.shape[3] > 1;
}

void convert_layout(const TensorType& type, const uint8_t* from, Layout from_layout, uint8_t* to, ThreadPool& pool) {
  switch (info(type.dtype).bits) {
    case 8:
      return convert<uint8_t>(type, from, from_layout, to, pool);
    case 16:
      return convert<uint16_t>(type, from, from_layout, to, pool);
    case 32:
      return convert<uint32_t>(type, from, from_layout, to, pool);
    case 64:
      return convert<uint64_t>(type, from, from_layout, to, pool);
    default:
      throw UnsupportedError(std::string("NHWC tensors of ") + info(type.dtype).name);
  }
}

}  // namespace bittrue
