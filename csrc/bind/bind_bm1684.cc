#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>

#include "bind/bind.h"
#include "devices/bm1684/program.h"
#include "engine/errors.h"

namespace py = pybind11;

namespace bittrue {

namespace {

using namespace bm1684;  // NOLINT: everything here is about this chip

using Bytes = py::array_t<uint8_t, py::array::c_style | py::array::forcecast>;
using Commands = py::array_t<uint32_t, py::array::c_style | py::array::forcecast>;

Engine engine_of(const std::string& name) {
  if (name == "bdc") return Engine::bdc;
  if (name == "gdma") return Engine::gdma;
  throw DataError("unknown engine '" + name + "'");
}

std::vector<Words> words_of(const Commands& commands) {
  if (commands.ndim() != 2 || commands.shape(1) != words_per_command)
    throw DataError("commands are an array of shape [n, 32]");
  std::vector<Words> result(static_cast<size_t>(commands.shape(0)));
  for (size_t i = 0; i < result.size(); ++i)
    std::memcpy(result[i].data(), commands.data(static_cast<py::ssize_t>(i)), sizeof(Words));
  return result;
}

py::list decode(const std::string& engine, const Commands& commands) {
  const auto& table = fields(engine_of(engine));
  py::list result;
  for (const Words& words : words_of(commands)) {
    py::dict d;
    for (const FieldInfo& f : table) d[f.name] = get_bits(words, f.bit, f.width);
    result.append(d);
  }
  return result;
}

Commands encode(const std::string& engine, const std::vector<std::map<std::string, uint64_t>>& commands) {
  const auto& table = fields(engine_of(engine));
  Commands result({static_cast<py::ssize_t>(commands.size()), py::ssize_t(words_per_command)});
  for (size_t i = 0; i < commands.size(); ++i) {
    Words words{};
    size_t used = 0;
    for (const FieldInfo& f : table) {
      const auto found = commands[i].find(f.name);
      if (found == commands[i].end()) continue;
      ++used;
      if (f.width < 64 && found->second >> f.width)
        throw DataError(std::string("field ") + f.name + " has " + std::to_string(f.width) + " bits, the value is " +
                        std::to_string(found->second));
      set_bits(words, f.bit, f.width, found->second);
    }
    if (used != commands[i].size()) throw DataError("command " + std::to_string(i + 1) + " names an unknown field");
    std::memcpy(result.mutable_data(static_cast<py::ssize_t>(i)), words.data(), sizeof(Words));
  }
  return result;
}

const char* element_name(Element e) {
  static constexpr const char* names[] = {"int8", "uint8", "int16", "uint16", "int32", "float32", "float16", "raw8"};
  return names[static_cast<int>(e)];
}

const char* space_name(Space s) { return s == Space::local ? "local" : (s == Space::l2 ? "l2" : "device"); }

py::dict access_dict(const Access& a, const Memory& memory) {
  const View& v = a.view;
  py::dict d;
  d["operand"] = a.operand;
  d["write"] = a.write;
  d["element"] = element_name(a.element);
  d["space"] = space_name(v.space);
  const int64_t base = v.space == Space::local
                           ? 0x08000000 + v.start_lane * lane_bytes
                           : static_cast<int64_t>(v.space == Space::l2 ? l2_base : memory.device_base());
  d["address"] = base + v.offset;
  d["shape"] = std::vector<int64_t>{v.n, v.c, v.h, v.w};
  d["strides"] = std::vector<int64_t>{v.n_stride, v.c_stride, v.h_stride, v.w_stride};
  d["bytes"] = v.bytes;
  d["per_word"] = v.per_word;
  return d;
}

// The elements of an operand, dense in n, c, h, w order.
Bytes read_access(const Machine& machine, const Access& a) {
  const View& v = a.view;
  Bytes out(v.elements() * v.bytes);
  const uint8_t* from = machine.memory.data(v.space);
  uint8_t* to = out.mutable_data();
  for (int64_t n = 0; n < v.n; ++n)
    for (int64_t c = 0; c < v.c; ++c)
      for (int64_t h = 0; h < v.h; ++h)
        for (int64_t w = 0; w < v.w; ++w, to += v.bytes)
          std::memcpy(to, from + v.at(n, c, h, w), static_cast<size_t>(v.bytes));
  return out;
}

// An array for bytes of device memory, refused before it is made if it cannot be filled.
Bytes device_array(const Machine& machine, uint64_t count) {
  if (count > static_cast<uint64_t>(machine.memory.size(Space::device)))
    throw DataError("a read of " + std::to_string(count) + " bytes, outside of device memory");
  return Bytes(static_cast<py::ssize_t>(count));
}

Preference preference_of(bool gdma_first) { return gdma_first ? Preference::gdma_first : Preference::bdc_first; }

py::list run(const bm1684::Program& program, Machine& machine, const std::vector<size_t>& order) {
  std::vector<UnwrittenRead> unwritten;
  for (const size_t k : order)
    if (k >= program.steps().size()) throw DataError("no step " + std::to_string(k));
  {
    const py::gil_scoped_release release;
    program.run(machine, order, &unwritten);
  }
  py::list result;
  for (const UnwrittenRead& u : unwritten) result.append(py::make_tuple(u.step, u.operand, u.bytes));
  return result;
}

}  // namespace

void bind_bm1684(py::module_& parent) {
  py::module_ m = parent.def_submodule("bm1684", "Instruction-level simulator of BM1684");
  m.def("fields", [](const std::string& engine) {
    std::vector<std::tuple<std::string, int, int>> result;
    for (const FieldInfo& f : fields(engine_of(engine))) result.emplace_back(f.name, f.bit, f.width);
    return result;
  });
  m.def("decode", &decode, py::arg("engine"), py::arg("commands"));
  m.def("encode", &encode, py::arg("engine"), py::arg("commands"));
  py::class_<Machine>(m, "Machine")
      .def(py::init<uint64_t, uint64_t, int, const std::string&, uint8_t, bool>(), py::arg("device_base"),
           py::arg("device_size"), py::arg("threads"), py::arg("path"), py::arg("fill") = 0x5A,
           py::arg("tracking") = false)
      .def("write",
           [](Machine& machine, uint64_t address, const Bytes& data) {
             machine.memory.write_device(address, data.data(), static_cast<uint64_t>(data.size()));
           })
      .def("read",
           [](const Machine& machine, uint64_t address, uint64_t count) {
             Bytes out = device_array(machine, count);
             machine.memory.read_device(address, out.mutable_data(), count);
             return out;
           })
      .def("read_flags",
           [](const Machine& machine, uint64_t address, uint64_t count) {
             Bytes out = device_array(machine, count);
             machine.memory.read_flags(address, out.mutable_data(), count);
             return out;
           })
      .def("reset", [](Machine& machine) { machine.memory.reset(); })
      .def_property_readonly("path", [](const Machine& machine) { return machine.kernels.name; })
      .def("l2", [](const Machine& machine) {
        Bytes out(static_cast<py::ssize_t>(l2_bytes));
        std::memcpy(out.mutable_data(), machine.memory.data(Space::l2), static_cast<size_t>(l2_bytes));
        return out;
      });
  py::class_<bm1684::Program>(m, "Program")
      .def(py::init([](const Commands& bdc, const Commands& gdma, const Machine& machine) {
             return std::make_unique<bm1684::Program>(words_of(bdc), words_of(gdma), machine.memory);
           }),
           py::arg("bdc"), py::arg("gdma"), py::arg("machine"))
      .def(
          "order", [](const bm1684::Program& p, bool gdma_first) { return p.order(preference_of(gdma_first)); },
          py::arg("gdma_first") = true)
      .def("steps",
           [](const bm1684::Program& p, const Machine& machine) {
             py::list result;
             for (const Step& s : p.steps()) {
               py::dict d;
               d["engine"] = s.engine == Engine::bdc ? "bdc" : "gdma";
               d["index"] = s.index;
               d["id"] = s.id;
               d["wait_for"] = s.wait_for;
               d["macs"] = s.operation->macs();
               d["assumption"] = s.operation->assumption();
               py::list accesses;
               for (const Access& a : s.operation->accesses()) accesses.append(access_dict(a, machine.memory));
               d["accesses"] = accesses;
               result.append(d);
             }
             return result;
           })
      .def("run", &run, py::arg("machine"), py::arg("order"))
      .def("read_operand", [](const bm1684::Program& p, const Machine& machine, size_t step, size_t access) {
        return read_access(machine, p.steps().at(step).operation->accesses().at(access));
      });
}

}  // namespace bittrue
