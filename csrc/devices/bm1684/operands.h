// Operands of compute commands as views of local memory.
#pragma once

#include "devices/bm1684/codes.h"
#include "devices/bm1684/operation.h"
#include "engine/errors.h"

namespace bittrue::bm1684 {

// The element-wise float32 kernel of an operation; nullptr if it has none.
inline FloatKernel float_kernel(const Kernels& k, Eu eu) {
  switch (eu) {
    case Eu::mul:
      return k.mul_f32;
    case Eu::mac:
      return k.mac_f32;
    case Eu::add:
      return k.add_f32;
    case Eu::sub:
      return k.sub_f32;
    case Eu::max:
      return k.max_f32;
    case Eu::min:
      return k.min_f32;
    case Eu::divide:
      return k.divide_f32;
    default:
      return nullptr;
  }
}

struct Extent {
  int64_t n, c, h, w;
};

constexpr int64_t align_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

inline int64_t element_bytes(Precision p) {
  switch (p) {
    case Precision::int8:
      return 1;
    case Precision::int16:
    case Precision::fp16:
      return 2;
    default:
      return 4;
  }
}

inline Element element_of(Precision p, bool is_signed) {
  switch (p) {
    case Precision::int8:
      return is_signed ? Element::int8 : Element::uint8;
    case Precision::int16:
      return is_signed ? Element::int16 : Element::uint16;
    case Precision::fp32:
      return Element::float32;
    case Precision::int32:
      return Element::int32;
    case Precision::fp16:
      return Element::float16;
  }
  return Element::raw8;
}

// A packed tensor (4N int8, 2N int16, 1N else) with the given strides in units of 4 bytes.
inline View strided_view(uint64_t address, Precision precision, const Extent& e, const Extent& strides) {
  if (address % 4) throw DataError("a tensor at " + hex(address) + ", which is not a multiple of 4");
  View v;
  v.n = e.n, v.c = e.c, v.h = e.h, v.w = e.w;
  v.bytes = element_bytes(precision);
  v.per_word = 4 / v.bytes;
  v.n_stride = 4 * strides.n, v.c_stride = 4 * strides.c, v.h_stride = 4 * strides.h, v.w_stride = 4 * strides.w;
  place_local(v, address);
  return v;
}

// The automatic layout: rows of channels aligned to 128 bytes.
inline View aligned_view(uint64_t address, Precision precision, const Extent& e) {
  const auto start_lane = static_cast<int64_t>(address % static_cast<uint64_t>(local_bytes)) / lane_bytes;
  const int64_t c_stride = align_up(e.h * e.w, 32);
  return strided_view(address, precision, e, {(start_lane + e.c + lanes - 1) / lanes * c_stride, c_stride, e.w, 1});
}

// An operand by its layout code: 0 is automatic, any other takes the strides literally.
inline View operand_view(uint64_t address, Precision precision, uint32_t layout, const Extent& e,
                         const Extent& strides) {
  return layout == 0 ? aligned_view(address, precision, e) : strided_view(address, precision, e, strides);
}

// Whether two tensors can share bytes although they are not the same elements at the same place. Lanes are not told
// apart.
inline bool meets_elsewhere(const View& a, const View& b) {
  const bool same = a.start_lane == b.start_lane && a.offset == b.offset && a.n_stride == b.n_stride &&
                    a.c_stride == b.c_stride && a.h_stride == b.h_stride && a.w_stride == b.w_stride &&
                    a.per_word == b.per_word;
  return a.space == b.space && !same && a.offset < b.offset + b.reach() && b.offset < a.offset + a.reach();
}

constexpr const char* order_of_overlaps = "elements of overlapping operands are computed in n, c, h, w order";

// Values of one kind per channel, without padding: bias and depthwise weights. `count` elements a channel.
inline View compact_view(uint64_t address, int64_t bytes, int64_t channels, int64_t count) {
  if (address % static_cast<uint64_t>(bytes))
    throw DataError("a tensor at " + hex(address) + ", which is not a multiple of its element size");
  View v;
  v.c = channels, v.w = count;
  v.bytes = bytes;
  v.per_word = 1;
  v.c_stride = count * bytes, v.h_stride = count * bytes, v.w_stride = bytes;
  place_local(v, address);
  return v;
}

}  // namespace bittrue::bm1684
