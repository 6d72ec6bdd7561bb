#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bind/bind.h"
#include "engine/program.h"
#include "kernels/path.h"

namespace py = pybind11;

namespace bittrue {

namespace {

using Bytes = py::array_t<uint8_t, py::array::c_style>;

// The bytes of a numpy array, which lives as long as they are used. To be released where the GIL is held.
std::shared_ptr<const uint8_t> shared_bytes(const Bytes& a) {
  return {a.data(), [owner = a](const uint8_t*) {}};
}

void check_size(const TensorSpec& tensor, py::ssize_t bytes) {
  if (bytes != tensor.type.bytes())
    throw DataError("tensor '" + tensor.name + "': " + std::to_string(bytes) + " bytes given, " +
                    std::to_string(tensor.type.bytes()) + " expected");
}

using PyTensor = std::tuple<std::string, std::string, Shape>;
using PyNode =
    std::tuple<std::string, std::string, std::vector<int>, std::vector<int>, std::map<std::string, Attribute>>;

std::unique_ptr<Program> make_program(const std::vector<PyTensor>& tensors, const std::map<int, Bytes>& constants,
                                      const std::vector<PyNode>& nodes, std::vector<int> inputs,
                                      const std::string& path, int threads) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, dtype, shape] : tensors) specs.push_back({name, {dtype_from_name(dtype), shape}});
  Constants data;
  for (const auto& [index, bytes] : constants) {
    check_size(specs.at(static_cast<size_t>(index)), bytes.size());
    data[index] = shared_bytes(bytes);
  }
  std::vector<NodeDefinition> definitions;
  for (const auto& [op, name, in, out, attributes] : nodes)
    definitions.push_back({op, name, in, out, Attributes(attributes)});
  return std::make_unique<Program>(std::move(specs), std::move(data), std::move(definitions), std::move(inputs), path,
                                   threads);
}

py::dict tally_dict(const Tally& t) {
  py::dict d;
  d["values"] = t.values;
  d["saturated_low"] = t.saturated_low;
  d["saturated_high"] = t.saturated_high;
  d["overflowed"] = t.overflowed;
  d["sum_min"] = t.values ? py::object(py::int_(t.sum_min)) : py::object(py::none());
  d["sum_max"] = t.values ? py::object(py::int_(t.sum_max)) : py::object(py::none());
  return d;
}

py::tuple run(Program& program, const std::vector<Bytes>& inputs, const std::vector<int>& wanted, bool counting) {
  if (inputs.size() != program.inputs().size())
    throw DataError(std::to_string(inputs.size()) + " inputs given, " + std::to_string(program.inputs().size()) +
                    " expected");
  std::vector<const uint8_t*> data;
  for (size_t i = 0; i < inputs.size(); ++i) {
    check_size(program.tensors()[static_cast<size_t>(program.inputs()[i])], inputs[i].size());
    data.push_back(inputs[i].data());
  }
  Wanted destinations;
  py::dict tensors;
  for (int index : wanted) {
    const int64_t bytes = program.tensors().at(static_cast<size_t>(index)).type.bytes();
    Bytes place(static_cast<py::ssize_t>(bytes + Program::slack));
    destinations[index] = place.mutable_data();
    tensors[py::int_(index)] = place[py::slice(0, bytes, 1)];
  }
  std::vector<Tally> tallies;
  {
    const py::gil_scoped_release release;
    if (counting)
      tallies = program.count(data, destinations);
    else
      program.run(data, destinations);
  }
  py::list counts;
  for (const Tally& t : tallies) counts.append(tally_dict(t));
  return py::make_tuple(tensors, counts);
}

}  // namespace

void bind_program(py::module_& m) {
  py::class_<Program>(m, "Program")
      .def(py::init(&make_program), py::arg("tensors"), py::arg("constants"), py::arg("nodes"), py::arg("inputs"),
           py::arg("path"), py::arg("threads"))
      .def("run", &run, py::arg("inputs"), py::arg("wanted"), py::arg("counting") = false)
      .def_property_readonly("implementations", &Program::implementation_labels)
      .def_property_readonly("arena_bytes", &Program::arena_bytes)
      .def_property_readonly("node_seconds", &Program::node_seconds);
  m.def("op_names", &op_names);
  m.def("known_paths", &known_paths);
  m.def("path_available", &path_available);
  m.def("best_path", &best_path);
}

}  // namespace bittrue
