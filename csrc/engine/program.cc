#include "engine/program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "engine/value_range.h"

namespace bittrue {

namespace {

constexpr int64_t alignment = 64;
constexpr int64_t slack = 64;  // kernels may read this far beyond the last byte of a tensor

template <class Error>
[[noreturn]] void rethrow(const NodeDefinition& node, const Error& e) {
  throw Error("node '" + node.name + "' (" + node.op + "): " + e.what());
}

template <class Body>
void naming_node(const NodeDefinition& node, const Body& body) {
  try {
    body();
  } catch (const UnsupportedError& e) {
    rethrow(node, e);
  } catch (const DataError& e) {
    rethrow(node, e);
  }
}

}  // namespace

Program::Program(std::vector<TensorSpec> tensors, Constants constants, std::vector<NodeDefinition> nodes,
                 std::vector<int> inputs, const std::string& path, int threads)
    : tensors_(std::move(tensors)),
      constants_(std::move(constants)),
      inputs_(std::move(inputs)),
      pool_(std::max(1, threads)) {
  std::vector<ValueRange> ranges;
  for (const TensorSpec& tensor : tensors_) {
    storage_.push_back({tensor.type});
    ranges.push_back(range_of_type(tensor.type));
  }
  for (NodeDefinition& node : nodes) {
    Step& step = steps_.emplace_back();
    step.definition = std::move(node);
    describe(step, ranges);
    naming_node(step.definition, [&] { step.implementation.op = make_reference(step.spec); });
    for (size_t k = 0; k < step.definition.outputs.size(); ++k)
      ranges[static_cast<size_t>(step.definition.outputs[k])] = output_range(step.spec, *step.implementation.op, k);
  }
  // Kernels pack their weights, which is most of the time that loading takes; every node by itself.
  pool_.parallel_for(static_cast<int64_t>(steps_.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      Step& step = steps_[static_cast<size_t>(s)];
      naming_node(step.definition, [&] {
        if (auto kernel = make_kernel(step.spec, path)) step.implementation = std::move(*kernel);
      });
    }
  });
  std::map<int, int> converted;
  for (Step& step : steps_) choose_layouts(step, converted);
  plan();
}

void Program::describe(Step& step, const std::vector<ValueRange>& ranges) const {
  const NodeDefinition& node = step.definition;
  NodeSpec& spec = step.spec;
  spec.op = node.op;
  spec.name = node.name;
  spec.attributes = node.attributes;
  const auto type_of = [&](int i) { return i < 0 ? nullptr : &tensors_.at(static_cast<size_t>(i)).type; };
  for (int i : node.inputs) {
    spec.inputs.push_back(type_of(i));
    const auto constant = constants_.find(i);
    spec.constants.push_back(constant == constants_.end() ? nullptr : constant->second.get());
    spec.ranges.push_back(i < 0 ? ValueRange{} : ranges[static_cast<size_t>(i)]);
  }
  for (int i : node.outputs) spec.outputs.push_back(type_of(i));
}

// Gives the outputs the layout of the implementation, and its inputs a copy where theirs is another. `converted` maps
// a tensor to its copy. Constants stay as they are: kernels pack what they need of them.
void Program::choose_layouts(Step& step, std::map<int, int>& converted) {
  const auto moves = [&](int i) {
    return i >= 0 && !constants_.count(i) && layouts_differ(storage_[static_cast<size_t>(i)].type);
  };
  step.inputs = step.definition.inputs;
  bool constant_operand = false, any_nchw = false, any_nhwc = false;
  for (int i : step.inputs) {
    if (i < 0 || !layouts_differ(storage_[static_cast<size_t>(i)].type)) continue;
    const bool is_nhwc = storage_[static_cast<size_t>(i)].layout == Layout::nhwc;
    constant_operand = constant_operand || constants_.count(i);
    any_nhwc = any_nhwc || (moves(i) && is_nhwc);
    any_nchw = any_nchw || (moves(i) && !is_nhwc);
  }
  if (step.implementation.need.only_if_stored && any_nchw && !any_nhwc)
    step.implementation = {make_reference(step.spec), "reference", {}};
  const Layout follows = any_nhwc && !constant_operand ? Layout::nhwc : Layout::nchw;
  const Layout layout = step.implementation.need.layout.value_or(follows);
  for (int& i : step.inputs) {
    if (!moves(i) || storage_[static_cast<size_t>(i)].layout == layout) continue;
    const auto [entry, is_new] = converted.emplace(i, static_cast<int>(storage_.size()));
    if (is_new) {
      storage_.push_back({storage_[static_cast<size_t>(i)].type, layout});
      step.conversions.push_back({i, entry->second});
    }
    i = entry->second;
  }
  for (int i : step.definition.outputs)
    if (moves(i)) storage_[static_cast<size_t>(i)].layout = layout;
}

void Program::plan() {
  std::vector<MemoryUse> uses(storage_.size());
  for (size_t t = 0; t < uses.size(); ++t) uses[t].bytes = storage_[t].type.bytes();
  const auto touch = [&](int i, int step) {
    if (i >= 0 && !constants_.count(i)) uses[static_cast<size_t>(i)].add_step(step);
  };
  for (int i : inputs_) touch(i, -1);
  for (size_t s = 0; s < steps_.size(); ++s) {
    const int at = static_cast<int>(s);
    for (const Conversion& c : steps_[s].conversions) {
      touch(c.from, at);
      touch(c.to, at);
    }
    for (int i : steps_[s].inputs) touch(i, at);
    for (int i : steps_[s].definition.outputs) touch(i, at);
  }
  for (size_t s = 0; s < steps_.size(); ++s) share_places(steps_[s], static_cast<int>(s), uses);
  const MemoryPlan plan = plan_memory(uses, alignment);
  for (size_t t = 0; t < storage_.size(); ++t) storage_[t].offset = plan.offsets[t];
  arena_bytes_ = plan.bytes;
  arena_.resize(static_cast<size_t>(arena_bytes_ + alignment + slack));
  base_ = arena_.data();
  base_ += (alignment - reinterpret_cast<uintptr_t>(base_) % alignment) % alignment;
}

// Where all elements are treated alike, the result may take the place of an input that nothing reads afterwards.
void Program::share_places(const Step& step, int at, std::vector<MemoryUse>& uses) const {
  if (step.implementation.need.layout || step.definition.outputs.size() != 1) return;
  MemoryUse& out = uses[static_cast<size_t>(step.definition.outputs[0])];
  for (int i : step.inputs) {
    if (i < 0 || constants_.count(i)) continue;
    const MemoryUse& in = uses[static_cast<size_t>(i)];
    if (in.last != at || in.bytes != out.bytes) continue;
    out.place_of = i;
    return;
  }
}

std::vector<std::string> Program::implementation_labels() const {
  std::vector<std::string> labels;
  for (const Step& step : steps_) labels.push_back(step.implementation.label);
  return labels;
}

const uint8_t* Program::data_of(int tensor) const {
  const auto constant = constants_.find(tensor);
  return constant != constants_.end() ? constant->second.get() : base_ + storage_[static_cast<size_t>(tensor)].offset;
}

void Program::keep(int tensor, RunResult& result) {
  const Storage& stored = storage_[static_cast<size_t>(tensor)];
  const uint8_t* data = data_of(tensor);
  const auto bytes = static_cast<size_t>(stored.type.bytes());
  if (stored.layout == Layout::nchw) {
    result.tensors[tensor].assign(data, data + bytes);
    return;
  }
  std::vector<uint8_t>& to = result.tensors[tensor];
  to.resize(bytes);
  convert_layout(stored.type, data, stored.layout, to.data(), pool_);
}

void Program::run_step(const Step& step, RunContext& context) {
  for (const Conversion& c : step.conversions) {
    const Storage &from = storage_[static_cast<size_t>(c.from)], &to = storage_[static_cast<size_t>(c.to)];
    convert_layout(from.type, base_ + from.offset, from.layout, base_ + to.offset, pool_);
  }
  std::vector<ConstTensor> in;
  std::vector<Tensor> out;
  for (int i : step.inputs)
    in.push_back(i < 0 ? ConstTensor{} : ConstTensor{&storage_[static_cast<size_t>(i)].type, data_of(i)});
  for (int i : step.definition.outputs) {
    const Storage& stored = storage_[static_cast<size_t>(i)];
    out.push_back({&stored.type, base_ + stored.offset});
  }
  step.implementation.op->run(in, out, context);
}

RunResult Program::run(const std::vector<const uint8_t*>& inputs, const std::vector<int>& wanted, bool counting) {
  if (counting && !counting_) {
    std::vector<NodeDefinition> nodes;
    for (const Step& step : steps_) nodes.push_back(step.definition);
    counting_ =
        std::make_unique<Program>(tensors_, constants_, std::move(nodes), inputs_, "reference", pool_.threads());
  }
  if (counting) return counting_->run_all(inputs, wanted, true);
  return run_all(inputs, wanted, false);
}

RunResult Program::run_all(const std::vector<const uint8_t*>& inputs, const std::vector<int>& wanted, bool counting) {
  RunResult result;
  const auto keep_if_wanted = [&](int i) {
    if (std::find(wanted.begin(), wanted.end(), i) != wanted.end()) keep(i, result);
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Storage& stored = storage_[static_cast<size_t>(inputs_[i])];
    const auto bytes = static_cast<size_t>(stored.type.bytes());
    if (bytes) std::memcpy(base_ + stored.offset, inputs[i], bytes);
    keep_if_wanted(inputs_[i]);
  }
  for (const auto& [i, bytes] : constants_) keep_if_wanted(i);
  node_seconds_.clear();
  for (const Step& step : steps_) {
    if (counting) result.tallies.emplace_back();
    RunContext context{pool_, counting ? &result.tallies.back() : nullptr};
    const auto start = std::chrono::steady_clock::now();
    naming_node(step.definition, [&] { run_step(step, context); });
    node_seconds_.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    for (int i : step.definition.outputs) keep_if_wanted(i);
  }
  return result;
}

}  // namespace bittrue
