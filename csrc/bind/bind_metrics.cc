#include <pybind11/numpy.h>

#include "bind/bind.h"
#include "engine/errors.h"
#include "metrics/histogram.h"

namespace py = pybind11;

namespace bittrue {

void bind_metrics(py::module_& m) {
  m.def(
      "abs_histogram",
      [](const py::array_t<float, py::array::c_style>& x, double width, int64_t bins) {
        if (!(width > 0) || bins < 1) throw DataError("a histogram needs a positive width and at least one bin");
        std::vector<int64_t> counts(static_cast<size_t>(bins));
        {
          const py::gil_scoped_release release;
          add_abs_histogram(x.data(), x.size(), width, counts);
        }
        return py::array_t<int64_t>(static_cast<py::ssize_t>(counts.size()), counts.data());
      },
      py::arg("x"), py::arg("width"), py::arg("bins"), "Counts of |x| > 0: bin = min(floor(|x| / width), bins - 1).");
}

}  // namespace bittrue
