// Brings input values into the form in which they are multiplied.
#pragma once

#include <cstdint>

#include "kernels/gemm_i8/product.h"

namespace bittrue {

// to[i] = x[first + i] + form.added for i < count, as form.value_bytes wide values.
void change_values(const ConstTensor& x, int64_t first, int64_t count, const InputForm& form, uint8_t* to);

// `count` values of padding.
void fill_padding(const InputForm& form, int64_t count, uint8_t* to);

}  // namespace bittrue
