#pragma once

#include <pybind11/pybind11.h>

namespace bittrue {

void bind_program(pybind11::module_& m);
void bind_arith(pybind11::module_& m);
void bind_metrics(pybind11::module_& m);
void bind_bm1684(pybind11::module_& m);

}  // namespace bittrue
