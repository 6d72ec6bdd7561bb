// numpy broadcasting and mapped copies: where an element of the output comes from.
#pragma once

#include <cstring>
#include <vector>

#include "engine/tensor.h"

namespace bittrue {

// Per axis of the output, the contribution of every index to the offset in the input, in elements; -1 = no source.
using AxisOffsets = std::vector<std::vector<int64_t>>;

// Elements between neighbours of each axis of a dense tensor.
inline std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

// Strides that read a tensor of shape `in` as one of shape `out`; 0 along broadcast axes.
inline std::vector<int64_t> broadcast_strides(const Shape& in, const Shape& out) {
  if (in.size() > out.size()) throw DataError("an input has more axes than the output");
  const std::vector<int64_t> dense = dense_strides(in);
  std::vector<int64_t> strides(out.size(), 0);
  const size_t shift = out.size() - in.size();
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] != out[i + shift] && in[i] != 1) throw DataError("an input does not broadcast to the output");
    strides[i + shift] = in[i] == 1 ? 0 : dense[i];
  }
  return strides;
}

// Offset of the element with flat index `i` of `shape` under other strides.
inline int64_t strided_offset(int64_t i, const Shape& shape, const std::vector<int64_t>& strides) {
  int64_t offset = 0;
  for (size_t axis = shape.size(); axis-- > 0; i /= shape[axis]) offset += i % shape[axis] * strides[axis];
  return offset;
}

// Offsets of every element of `out`, row-major, when read from a tensor of shape `in`.
inline std::vector<int64_t> broadcast_offsets(const Shape& in, const Shape& out) {
  const std::vector<int64_t> strides = broadcast_strides(in, out);
  std::vector<int64_t> offsets(static_cast<size_t>(count(out)));
  for (size_t i = 0; i < offsets.size(); ++i) offsets[i] = strided_offset(static_cast<int64_t>(i), out, strides);
  return offsets;
}

inline int64_t element_bytes(DType t) {
  if (info(t).bits < 8) throw UnsupportedError(std::string("moving elements of ") + info(t).name);
  return info(t).bits / 8;
}

// out[i, j, ..] = in[offsets[0][i] + offsets[1][j] + ..], or `fill` where an axis has no source.
inline void copy_mapped(const ConstTensor& in, const Tensor& out, const AxisOffsets& offsets,
                        const uint8_t* fill = nullptr) {
  const auto bytes = static_cast<size_t>(element_bytes(out.dtype()));
  if (in.dtype() != out.dtype()) throw DataError("input and output must have one type");
  const Shape& shape = out.shape();
  if (shape.empty()) {
    std::memcpy(out.data, in.data, bytes);
    return;
  }
  const std::vector<int64_t>& last = offsets.back();
  const auto width = static_cast<int64_t>(last.size());
  bool contiguous = true;
  for (int64_t i = 0; i < width; ++i)
    contiguous = contiguous && last[static_cast<size_t>(i)] == last[0] + i && last[0] >= 0;
  const int64_t rows = width ? out.elements() / width : 0;
  uint8_t* to = out.data;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t base = 0, rest = row;
    for (size_t axis = shape.size() - 1; axis-- > 0; rest /= shape[axis]) {
      const int64_t part = offsets[axis][static_cast<size_t>(rest % shape[axis])];
      base = part < 0 || base < 0 ? -1 : base + part;
    }
    if (contiguous && base >= 0) {
      std::memcpy(to, in.data + static_cast<size_t>(base + last[0]) * bytes, static_cast<size_t>(width) * bytes);
      to += static_cast<size_t>(width) * bytes;
      continue;
    }
    for (int64_t part : last) {
      const bool inside = base >= 0 && part >= 0;
      std::memcpy(to, inside ? in.data + static_cast<size_t>(base + part) * bytes : fill, bytes);
      to += bytes;
    }
  }
}

// 0 <= axis < rank, counted from the end if negative.
inline size_t normal_axis(int64_t axis, size_t rank) {
  const int64_t a = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  if (a < 0 || a >= static_cast<int64_t>(rank)) throw DataError("axis " + std::to_string(axis) + " does not exist");
  return static_cast<size_t>(a);
}

// A tensor seen as outer x length x inner around one axis.
struct AxisView {
  int64_t outer = 1, length = 1, inner = 1;

  AxisView(const Shape& shape, int64_t given) {
    const size_t axis = normal_axis(given, shape.size());
    for (size_t i = 0; i < axis; ++i) outer *= shape[i];
    length = shape[axis];
    for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  }
};

}  // namespace bittrue
