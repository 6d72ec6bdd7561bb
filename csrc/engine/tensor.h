// Element types and non-owning views of dense row-major tensors.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "engine/errors.h"

namespace bittrue {

enum class DType : uint8_t { int4, uint4, int8, uint8, int16, uint16, int32, int64, float32, boolean };

using Shape = std::vector<int64_t>;

struct DTypeInfo {
  const char* name;
  int bits;
  int64_t min;
  int64_t max;
};

inline const DTypeInfo& info(DType t) {
  static constexpr DTypeInfo table[] = {{"int4", 4, -8, 7},
                                        {"uint4", 4, 0, 15},
                                        {"int8", 8, -128, 127},
                                        {"uint8", 8, 0, 255},
                                        {"int16", 16, -32768, 32767},
                                        {"uint16", 16, 0, 65535},
                                        {"int32", 32, INT32_MIN, INT32_MAX},
                                        {"int64", 64, INT64_MIN, INT64_MAX},
                                        {"float32", 32, 0, 0},
                                        {"bool", 8, 0, 1}};
  return table[static_cast<int>(t)];
}

inline DType dtype_from_name(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i)
    if (name == info(static_cast<DType>(i)).name) return static_cast<DType>(i);
  throw DataError("unknown element type '" + name + "'");
}

inline int64_t count(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

inline bool is_8_bit(DType t) { return t == DType::int8 || t == DType::uint8; }

// int4 and uint4 are packed two to a byte, low nibble first.
inline int64_t bytes_of(DType t, int64_t elements) { return (elements * info(t).bits + 7) / 8; }

struct TensorType {
  DType dtype = DType::float32;
  Shape shape;
  int64_t elements() const { return count(shape); }
  int64_t bytes() const { return bytes_of(dtype, elements()); }
};

template <class Byte>
struct BasicTensor {
  const TensorType* type = nullptr;
  Byte* data = nullptr;

  bool present() const { return type != nullptr; }
  DType dtype() const { return type->dtype; }
  const Shape& shape() const { return type->shape; }
  int64_t dim(size_t axis) const { return type->shape[axis]; }
  int64_t elements() const { return type->elements(); }
  template <class T>
  auto as() const {
    if constexpr (std::is_const_v<Byte>)
      return reinterpret_cast<const T*>(data);
    else
      return reinterpret_cast<T*>(data);
  }
};

using ConstTensor = BasicTensor<const uint8_t>;
using Tensor = BasicTensor<uint8_t>;

// Element `i` of an integer tensor; for the reference ops, where clarity counts more than speed.
inline int64_t load_int(const ConstTensor& t, int64_t i) {
  switch (t.dtype()) {
    case DType::int4: {
      const int nibble = t.data[i / 2] >> (4 * (i & 1)) & 15;
      return nibble < 8 ? nibble : nibble - 16;
    }
    case DType::uint4:
      return t.data[i / 2] >> (4 * (i & 1)) & 15;
    case DType::int8:
      return t.as<int8_t>()[i];
    case DType::uint8:
    case DType::boolean:
      return t.data[i];
    case DType::int16:
      return t.as<int16_t>()[i];
    case DType::uint16:
      return t.as<uint16_t>()[i];
    case DType::int32:
      return t.as<int32_t>()[i];
    case DType::int64:
      return t.as<int64_t>()[i];
    case DType::float32:
      break;
  }
  throw DataError("an integer tensor is needed, not float32");
}

// Stores a value that is already inside the range of the type.
inline void store_int(const Tensor& t, int64_t i, int64_t v) {
  switch (t.dtype()) {
    case DType::int8:
      t.as<int8_t>()[i] = static_cast<int8_t>(v);
      return;
    case DType::uint8:
    case DType::boolean:
      t.data[i] = static_cast<uint8_t>(v);
      return;
    case DType::int16:
      t.as<int16_t>()[i] = static_cast<int16_t>(v);
      return;
    case DType::uint16:
      t.as<uint16_t>()[i] = static_cast<uint16_t>(v);
      return;
    case DType::int32:
      t.as<int32_t>()[i] = static_cast<int32_t>(v);
      return;
    case DType::int64:
      t.as<int64_t>()[i] = v;
      return;
    default:
      throw DataError(std::string("cannot store into a tensor of ") + info(t.dtype()).name);
  }
}

// All elements of an integer tensor, widened: reference ops read weights and activations through this.
inline std::vector<int32_t> widen(const ConstTensor& t) {
  std::vector<int32_t> out(static_cast<size_t>(t.elements()));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<int32_t>(load_int(t, static_cast<int64_t>(i)));
  return out;
}

}  // namespace bittrue
