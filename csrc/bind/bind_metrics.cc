#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bind/bind.h"
#include "engine/errors.h"
#include "metrics/calibration.h"
#include "metrics/compare.h"
#include "metrics/divergence.h"
#include "metrics/histogram.h"

namespace py = pybind11;

namespace bittrue {
namespace {

py::dict as_dict(const Comparison& c) {
  py::dict out;
  out["n"] = c.n;
  out["n_bad"] = c.bad;
  out["first_bad"] = c.first_bad;
  out["finite"] = c.finite;
  out["nonfinite"] = c.nonfinite;
  out["vendor_refuses"] = c.vendor_refuses;
  out["nan_equal"] = c.nan_equal;
  out["signed_zero"] = c.signed_zero;
  out["nan_count"] = c.nans;
  out["inf_count"] = c.infinities;
  out["saturated_ref"] = c.saturated_ref;
  out["saturated_got"] = c.saturated_got;
  out["histogram"] = c.histogram.counts;
  out["on_grid"] = c.on_grid;
  out["distance"] = c.distance;
  out["max_abs"] = c.largest;
  out["max_relative"] = c.largest_relative;
  out["max_vendor"] = c.largest_vendor;
  out["max_ulp"] = c.largest_ulp;
  out["sums"] = py::dict(py::arg("d") = c.d, py::arg("abs_d") = c.abs_d, py::arg("dd") = c.dd, py::arg("r") = c.r,
                         py::arg("abs_r") = c.abs_r, py::arg("rr") = c.rr, py::arg("gg") = c.gg, py::arg("rg") = c.rg,
                         py::arg("relative") = c.relative);
  out["zeros"] = c.zeros;
  std::vector<int64_t> worst;
  for (const WorstElement& w : c.worst) worst.push_back(w.index);
  out["worst"] = worst;
  const auto size = static_cast<py::ssize_t>(c.channels.size());
  py::array_t<double> channels({size, py::ssize_t{5}});
  auto cells = channels.mutable_unchecked<2>();
  for (py::ssize_t i = 0; i < size; ++i) {
    const ChannelErrors& e = c.channels[static_cast<size_t>(i)];
    const double row[] = {static_cast<double>(e.bad), e.largest, e.d, e.dd, e.rr};
    for (py::ssize_t k = 0; k < 5; ++k) cells(i, k) = row[k];
  }
  out["channels"] = channels;
  return out;
}

template <class T>
bool compare_as(const py::array& r, const py::array& g, const ChannelView& view, double scale, size_t listed,
                Comparison& result) {
  if (!py::isinstance<py::array_t<T, py::array::c_style>>(r) || !py::isinstance<py::array_t<T, py::array::c_style>>(g))
    return false;
  Comparer<T> comparer(static_cast<const T*>(r.data()), static_cast<const T*>(g.data()), view, scale, listed);
  const py::gil_scoped_release release;
  result = comparer.run();
  return true;
}

template <class... Types>
py::dict compare(const py::array& r, const py::array& g, const std::array<int64_t, 3>& shape, double scale,
                 int64_t listed) {
  const ChannelView view{shape[0], shape[1], shape[2]};
  if (r.size() != view.elements() || g.size() != view.elements() || view.channels < 1)
    throw DataError("two arrays of one size are needed, as (outer, channels, inner)");
  Comparison result;
  if (!(compare_as<Types>(r, g, view, scale, static_cast<size_t>(listed), result) || ...))
    throw DataError("two contiguous arrays of one integer or float type are needed");
  return as_dict(result);
}

using Floats = py::array_t<float, py::array::c_style>;

void add_rounded(const Floats& x, float width, py::array_t<int64_t, py::array::c_style>& counts) {
  if (!(width > 0) || counts.ndim() != 1 || counts.size() < 1)
    throw DataError("a histogram needs a positive width and at least one bin");
  int64_t* bins = counts.mutable_data();
  const int64_t size = counts.size();
  const py::gil_scoped_release release;
  add_rounded_histogram(x.data(), x.size(), width, bins, size);
}

// For values of one type; others are refused.
template <class T>
void bind_sums(py::module_& m) {
  using Values = py::array_t<T, py::array::c_style>;
  m.def(
      "scale_sums",
      [](const Values& x, double scale, double limit) {
        const py::gil_scoped_release release;
        const ScaleSums sums = scale_sums(x.data(), x.size(), scale, limit);
        return std::pair<double, double>(sums.xq, sums.qq);
      },
      py::arg("x").noconvert(), py::arg("scale"), py::arg("limit"),
      "Sums of x * q and q * q, q = clip(x / scale, -limit, limit).");
  m.def(
      "squared_error",
      [](const Values& x, double scale, double limit) {
        const py::gil_scoped_release release;
        return squared_error(x.data(), x.size(), scale, limit);
      },
      py::arg("x").noconvert(), py::arg("scale"), py::arg("limit"),
      "Sum of (x - scale * q)^2, q = clip(x / scale, -limit - 1, limit).");
  m.def(
      "tail_above",
      [](const Values& x, double threshold) {
        const py::gil_scoped_release release;
        const Tail tail = tail_above(x.data(), x.size(), threshold);
        return std::pair<double, int64_t>(tail.sum, tail.count);
      },
      py::arg("x").noconvert(), py::arg("threshold"), "Sum and number of the magnitudes above a threshold.");
}

void bind_calibration(py::module_& m) {
  m.def(
      "range_of",
      [](const Floats& x) {
        Range range;
        {
          const py::gil_scoped_release release;
          range = range_of(x.data(), x.size());
        }
        return py::make_tuple(range.nonfinite, range.low, range.high);
      },
      py::arg("x"),
      "(index of the first value that is not finite or -1, minimum, maximum); infinities without values.");
  m.def("add_rounded_histogram", &add_rounded, py::arg("x"), py::arg("width"), py::arg("counts"),
        "Adds to the counts in place: bin = min(floor(|x| / width + 0.5), bins - 1) in binary32, without zeros.");
  bind_sums<float>(m);
  bind_sums<double>(m);
}

using Counts = py::array_t<int64_t, py::array::c_style>;

std::vector<int64_t> histogram_of(const Counts& counts, int64_t levels) {
  if (levels < 1 || counts.ndim() != 1 || counts.size() < levels)
    throw DataError("a histogram of at least as many bins as levels is needed");
  return {counts.data(), counts.data() + counts.size()};
}

// Of the candidates that keep levels, 2 * levels, .. bins; the number of bins is a multiple of the levels.
py::array_t<float> published_divergences(const Counts& counts, int64_t levels) {
  const std::vector<int64_t> bins = histogram_of(counts, levels);
  std::vector<float> result;
  {
    const py::gil_scoped_release release;
    int64_t total = 0;
    for (const int64_t c : bins) total += c;
    const std::vector<float> rounded(bins.begin(), bins.end());
    for (int64_t kept = levels; kept <= static_cast<int64_t>(bins.size()); kept += levels)
      result.push_back(published_divergence(rounded, static_cast<float>(total), kept, levels));
  }
  return py::array_t<float>(static_cast<py::ssize_t>(result.size()), result.data());
}

// Of the candidates that keep levels, levels + step, .. up to `last` bins.
py::array_t<double> divergences(const Counts& counts, int64_t levels, int64_t step, int64_t last, int kind) {
  const std::vector<int64_t> bins = histogram_of(counts, levels);
  if (step < 1 || last > counts.size() || kind < 0 || kind > 2) throw DataError("step, last or kind out of range");
  std::vector<double> result;
  {
    const py::gil_scoped_release release;
    for (int64_t kept = levels; kept <= last; kept += step)
      result.push_back(divergence(bins, kept, levels, static_cast<Divergence>(kind)));
  }
  return py::array_t<double>(static_cast<py::ssize_t>(result.size()), result.data());
}

}  // namespace

void bind_metrics(py::module_& m) {
  bind_calibration(m);
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
  m.def("published_divergences", &published_divergences, py::arg("counts"), py::arg("levels"),
        "KL divergences (binary32) of the candidates that keep levels, 2 * levels, .. bins, as Sophgo's code.");
  m.def("divergences", &divergences, py::arg("counts"), py::arg("levels"), py::arg("step"), py::arg("last"),
        py::arg("kind"),
        "Divergences of the candidates that keep levels, levels + step, .. last bins; kind 0 KL, 1 both "
        "directions, 2 Jensen-Shannon.");
  m.def("compare", &compare<int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t, float, double>,
        py::arg("ref"), py::arg("got"), py::arg("shape"), py::arg("scale") = 0.0, py::arg("listed") = 16,
        "Counts, histogram and sums of two contiguous arrays of one type, seen as (outer, channels, inner).");
}

}  // namespace bittrue
