#include "kernels/gemm_i8/input_values.h"

#include <algorithm>
#include <cstring>

namespace bittrue {

namespace {

// The sums fit the type, so that adding modulo 2^bits is exact.
template <class To, class From>
void add_to_all(const From* x, int64_t count, int64_t added, uint8_t* to) {
  auto* out = reinterpret_cast<To*>(to);
  const auto term = static_cast<To>(added);
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<To>(static_cast<To>(x[i]) + term);
}

}  // namespace

void change_values(const ConstTensor& x, int64_t first, int64_t count, const InputForm& form, uint8_t* to) {
  if (!form.changes(x.dtype())) {
    std::memcpy(to, x.data + first * form.value_bytes, static_cast<size_t>(count * form.value_bytes));
    return;
  }
  if (form.value_bytes == 1) return add_to_all<uint8_t>(x.data + first, count, form.added, to);
  if (x.dtype() == DType::int8) return add_to_all<uint16_t>(x.as<int8_t>() + first, count, form.added, to);
  if (x.dtype() == DType::uint8) return add_to_all<uint16_t>(x.data + first, count, form.added, to);
  add_to_all<uint16_t>(x.as<int16_t>() + first, count, form.added, to);
}

void fill_padding(const InputForm& form, int64_t count, uint8_t* to) {
  if (form.value_bytes == 1)
    std::memset(to, static_cast<int>(form.padding), static_cast<size_t>(count));
  else
    std::fill_n(reinterpret_cast<int16_t*>(to), count, static_cast<int16_t>(form.padding));
}

}  // namespace bittrue
