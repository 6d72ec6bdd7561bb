#include "engine/program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace bittrue {

namespace {

constexpr int64_t alignment = 64;

template <class Error>
[[noreturn]] void rethrow(const NodeDefinition& node, const Error& e) {
  throw Error("node '" + node.name + "' (" + node.op + "): " + e.what());
}

}  // namespace

Program::Program(std::vector<TensorSpec> tensors, std::map<int, std::vector<uint8_t>> constants,
                 std::vector<NodeDefinition> nodes, std::vector<int> inputs, const std::string& path, int threads)
    : tensors_(std::move(tensors)),
      constants_(std::move(constants)),
      inputs_(std::move(inputs)),
      pool_(std::max(1, threads)) {
  for (NodeDefinition& node : nodes) {
    Step step;
    step.spec.op = node.op;
    step.spec.name = node.name;
    step.spec.attributes = node.attributes;
    const auto type_of = [&](int i) { return i < 0 ? nullptr : &tensors_.at(static_cast<size_t>(i)).type; };
    for (int i : node.inputs) {
      step.spec.inputs.push_back(type_of(i));
      const auto constant = constants_.find(i);
      step.spec.constants.push_back(constant == constants_.end() ? nullptr : constant->second.data());
    }
    for (int i : node.outputs) step.spec.outputs.push_back(type_of(i));
    try {
      step.implementation = make_implementation(step.spec, path);
    } catch (const UnsupportedError& e) {
      rethrow(node, e);
    } catch (const DataError& e) {
      rethrow(node, e);
    }
    step.definition = std::move(node);
    steps_.push_back(std::move(step));
  }
  plan();
}

// First-fit placement by liveness: a tensor's bytes may be reused after its last reader.
void Program::plan() {
  struct Life {
    int tensor;
    int first, last;
    int64_t offset;
  };
  const int end = static_cast<int>(steps_.size());
  std::vector<Life> lives(tensors_.size());
  for (size_t t = 0; t < tensors_.size(); ++t) lives[t] = {static_cast<int>(t), end, -1, -1};
  for (int i : inputs_) lives[static_cast<size_t>(i)] = {i, -1, -1, -1};
  for (int s = 0; s < end; ++s) {
    const NodeDefinition& node = steps_[static_cast<size_t>(s)].definition;
    for (int i : node.inputs)
      if (i >= 0) lives[static_cast<size_t>(i)].last = s;
    for (int i : node.outputs) {
      Life& life = lives[static_cast<size_t>(i)];
      life.first = std::min(life.first, s);
      life.last = std::max(life.last, s);
    }
  }
  offsets_.assign(tensors_.size(), -1);
  std::vector<Life> order = lives;
  std::stable_sort(order.begin(), order.end(), [](const Life& a, const Life& b) { return a.first < b.first; });
  std::vector<Life> placed;  // sorted by offset
  for (Life& life : order) {
    if (constants_.count(life.tensor) || life.first >= end) continue;
    const int64_t size = tensors_[static_cast<size_t>(life.tensor)].type.bytes();
    int64_t offset = 0;
    for (const Life& other : placed) {
      if (other.last < life.first || life.last < other.first) continue;
      if (offset + size <= other.offset) break;
      const int64_t other_end = other.offset + tensors_[static_cast<size_t>(other.tensor)].type.bytes();
      offset = std::max(offset, (other_end + alignment - 1) / alignment * alignment);
    }
    life.offset = offset;
    offsets_[static_cast<size_t>(life.tensor)] = offset;
    arena_bytes_ = std::max(arena_bytes_, offset + size);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), life,
                                   [](const Life& a, const Life& b) { return a.offset < b.offset; }),
                  life);
  }
  arena_.resize(static_cast<size_t>(arena_bytes_ + alignment));
}

std::vector<std::string> Program::implementation_labels() const {
  std::vector<std::string> labels;
  for (const Step& step : steps_) labels.push_back(step.implementation.label);
  return labels;
}

RunResult Program::run(const std::vector<const uint8_t*>& inputs, const std::vector<int>& wanted, bool counting) {
  RunResult result;
  uint8_t* base = arena_.data();
  base += (alignment - reinterpret_cast<uintptr_t>(base) % alignment) % alignment;
  const auto data_of = [&](int i) {
    const auto constant = constants_.find(i);
    return constant != constants_.end() ? constant->second.data() : base + offsets_[static_cast<size_t>(i)];
  };
  const auto keep = [&](int i) {
    if (std::find(wanted.begin(), wanted.end(), i) == wanted.end()) return;
    const uint8_t* data = data_of(i);
    result.tensors[i].assign(data, data + tensors_[static_cast<size_t>(i)].type.bytes());
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto bytes = static_cast<size_t>(tensors_[static_cast<size_t>(inputs_[i])].type.bytes());
    if (bytes) std::memcpy(data_of(inputs_[i]), inputs[i], bytes);
    keep(inputs_[i]);
  }
  for (const auto& [i, bytes] : constants_) keep(i);
  std::vector<ConstTensor> in;
  std::vector<Tensor> out;
  node_seconds_.clear();
  for (Step& step : steps_) {
    in.clear();
    out.clear();
    for (int i : step.definition.inputs)
      in.push_back(i < 0 ? ConstTensor{} : ConstTensor{&tensors_[static_cast<size_t>(i)].type, data_of(i)});
    for (int i : step.definition.outputs) out.push_back({&tensors_[static_cast<size_t>(i)].type, data_of(i)});
    const Op* op = step.implementation.op.get();
    if (counting) {
      result.tallies.emplace_back();
      if (step.implementation.label != "reference") {
        if (!step.counting) step.counting = make_reference(step.spec);
        op = step.counting.get();
      }
    }
    RunContext context{pool_, counting ? &result.tallies.back() : nullptr};
    const auto start = std::chrono::steady_clock::now();
    try {
      op->run(in, out, context);
    } catch (const UnsupportedError& e) {
      rethrow(step.definition, e);
    } catch (const DataError& e) {
      rethrow(step.definition, e);
    }
    node_seconds_.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    for (int i : step.definition.outputs) keep(i);
  }
  return result;
}

}  // namespace bittrue
