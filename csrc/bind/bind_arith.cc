// The scalar arithmetic, for tests and for tools that explain single values.
#include <pybind11/stl.h>

#include "bind/bind.h"
#include "engine/stage_attributes.h"

namespace py = pybind11;

namespace bittrue {

void bind_arith(py::module_& m) {
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
}

}  // namespace bittrue
