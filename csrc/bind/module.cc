#include <exception>

#include "bind/bind.h"
#include "engine/errors.h"

namespace py = pybind11;

PYBIND11_MODULE(_core, m) {
  m.doc() = "C++ core of bittrue";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const bittrue::UnsupportedError& e) {
      py::set_error(py::module_::import("bittrue.errors").attr("UnsupportedError"), e.what());
    } catch (const bittrue::DataError& e) {
      py::set_error(py::module_::import("bittrue.errors").attr("DataError"), e.what());
    }
  });
  bittrue::bind_program(m);
  bittrue::bind_arith(m);
  bittrue::bind_metrics(m);
  bittrue::bind_bm1684(m);
}
