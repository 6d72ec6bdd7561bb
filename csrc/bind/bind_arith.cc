// The scalar arithmetic, for tests and for tools that explain single values.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>

#include "bind/bind.h"
#include "bind/stage_comparison.h"
#include "engine/stage_attributes.h"
#include "kernels/stage/vector_stage.h"

namespace py = pybind11;

namespace bittrue {

void bind_arith(py::module_& m) {
  py::class_<StageComparison>(m, "StageComparison")
      .def_readonly("sums", &StageComparison::sums)
      .def_readonly("different_in_rows", &StageComparison::different_in_rows)
      .def_readonly("different_in_pixels", &StageComparison::different_in_pixels)
      .def_readonly("sums_in_tiles", &StageComparison::sums_in_tiles)
      .def_readonly("different_in_tiles", &StageComparison::different_in_tiles)
      .def_readonly("vectorized", &StageComparison::vectorized);
  m.def("rounding_names", &rounding_names);
  m.def(
      "output_stage",
      [](const std::vector<int64_t>& sums, const std::map<std::string, Attribute>& attributes,
         const std::string& dtype) {
        NodeSpec node;
        const TensorType type{dtype_from_name(dtype), {}};
        node.outputs.push_back(&type);
        node.attributes = Attributes(attributes);
        const OutputStage stage = read_output_stage(node, 1);
        node.attributes.check_all_read();
        NoTally none;
        std::vector<int64_t> out;
        for (int64_t sum : sums) out.push_back(stage.apply(sum, 0, none));
        return out;
      },
      py::arg("sums"), py::arg("attributes"), py::arg("dtype"),
      "Applies the output stage that the attributes spell to exact sums.");
  m.def(
      "vector_stage",
      [](const py::array_t<int32_t, py::array::c_style>& sums, const std::map<std::string, Attribute>& attributes,
         const std::string& dtype, const std::vector<int32_t>& bias, int64_t largest) {
        NodeSpec node;
        const TensorType type{dtype_from_name(dtype), {}};
        node.outputs.push_back(&type);
        node.attributes = Attributes(attributes);
        const auto channels = static_cast<int64_t>(bias.size());
        const OutputStage stage = read_output_stage(node, channels);
        node.attributes.check_all_read();
        if (channels != 1 && channels != sums.size()) throw DataError("bias needs one entry or one per sum");
        const VectorStage vector(stage, bias, largest, type.dtype);
        py::array_t<uint8_t> out(static_cast<py::ssize_t>(sums.size() * vector.value_bytes()));
        std::vector<int32_t> readable(sums.data(), sums.data() + sums.size());
        readable.resize(readable.size() + 16);
        if (channels == 1)
          vector.apply_row(sums.data(), sums.size(), 0, out.mutable_data());
        else
          vector.apply_pixels(readable.data(), {1, 0, channels, 0, 0}, out.mutable_data());
        return py::make_tuple(out, vector.vectorized());
      },
      py::arg("sums"), py::arg("attributes"), py::arg("dtype"), py::arg("bias"), py::arg("largest"),
      "The output stage of the vector kernels: bytes of the values, and whether the rule has a vector form. One bias: "
      "all"
      " sums are of one channel; else one channel a sum. `largest` bounds sum plus bias.");
  m.def(
      "compare_stages",
      [](const std::map<std::string, Attribute>& attributes, const std::string& dtype, int64_t channels, int bits,
         uint64_t seed, int64_t pixels) {
        NodeSpec node;
        const TensorType type{dtype_from_name(dtype), {}};
        node.outputs.push_back(&type);
        node.attributes = Attributes(attributes);
        const OutputStage stage = read_output_stage(node, channels);
        node.attributes.check_all_read();
        if (bits < 1 || bits > 31) throw DataError("bits are outside 1..31");
        const py::gil_scoped_release release;
        return compare_stages(stage, type.dtype, channels, bits, seed, pixels);
      },
      py::arg("attributes"), py::arg("dtype"), py::arg("channels"), py::arg("bits"), py::arg("seed"), py::arg("pixels"),
      "Compares the output stage of the vector kernels with the scalar one on random sums; sum plus bias has `bits` "
      "bits "
      "and a sign.");
}

}  // namespace bittrue
