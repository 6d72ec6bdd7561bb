#include "engine/program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "engine/value_range.h"

namespace bittrue {

namespace {

constexpr int64_t alignment = 64;

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
    storage_.push_back({tensor.type, Layout::nchw});
    ranges.push_back(range_of_type(tensor.type));
  }
  for (NodeDefinition& node : nodes) {
    for (int i : node.inputs)
      if (i >= 0) storage_.at(static_cast<size_t>(i)).is_read = true;
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
  const Layout follows =
      any_nhwc && !constant_operand && !widens_a_result(step.definition) ? Layout::nhwc : Layout::nchw;
  const Layout layout = step.implementation.need.layout.value_or(follows);
  for (int& i : step.inputs) {
    if (!moves(i) || storage_[static_cast<size_t>(i)].layout == layout) {
      if (i >= 0 && step.implementation.reads_beyond()) storage_[static_cast<size_t>(i)].is_read_beyond = true;
      continue;
    }
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

// Whether a node makes larger elements for the outside, where 4-D tensors are NCHW: its inputs are moved faster.
bool Program::widens_a_result(const NodeDefinition& node) const {
  const auto bits_of = [&](int i) { return info(storage_[static_cast<size_t>(i)].type.dtype).bits; };
  return node.outputs.size() == 1 && !storage_[static_cast<size_t>(node.outputs[0])].is_read && node.inputs[0] >= 0 &&
         bits_of(node.outputs[0]) > bits_of(node.inputs[0]);
}

void Program::plan() {
  std::vector<MemoryUse> uses(storage_.size());
  for (size_t t = 0; t < uses.size(); ++t) uses[t].bytes = storage_[t].type.bytes();
  const auto touch = [&](int i, int step) {
    if (i >= 0 && storage_[static_cast<size_t>(i)].outside == Outside::no) uses[static_cast<size_t>(i)].add_step(step);
  };
  for (const auto& [i, bytes] : constants_) storage_[static_cast<size_t>(i)].outside = Outside::constant;
  for (int i : inputs_) {
    if (!storage_[static_cast<size_t>(i)].is_read_beyond) storage_[static_cast<size_t>(i)].outside = Outside::input;
    touch(i, -1);
  }
  for (size_t s = 0; s < steps_.size(); ++s) {
    const int at = static_cast<int>(s);
    for (int i : steps_[s].definition.outputs) {
      Storage& stored = storage_[static_cast<size_t>(i)];
      if (!stored.is_read && stored.layout == Layout::nchw) stored.outside = Outside::result;
    }
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
  for (Storage& stored : storage_)
    if (stored.outside == Outside::no) stored.data = base_ + stored.offset;
  for (Step& step : steps_) {
    for (int i : step.inputs)
      step.in.push_back(i < 0 ? ConstTensor{} : ConstTensor{&storage_[static_cast<size_t>(i)].type, nullptr});
    for (int i : step.definition.outputs) step.out.push_back({&storage_[static_cast<size_t>(i)].type, nullptr});
  }
}

// Where all elements are treated alike, the result may take the place of an input that nothing reads afterwards.
void Program::share_places(const Step& step, int at, std::vector<MemoryUse>& uses) const {
  if (step.implementation.need.layout || step.definition.outputs.size() != 1) return;
  if (storage_[static_cast<size_t>(step.definition.outputs[0])].outside != Outside::no) return;
  MemoryUse& out = uses[static_cast<size_t>(step.definition.outputs[0])];
  for (int i : step.inputs) {
    if (i < 0 || storage_[static_cast<size_t>(i)].outside != Outside::no) continue;
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
  const Storage& stored = storage_[static_cast<size_t>(tensor)];
  return stored.outside == Outside::constant ? constants_.at(tensor).get() : stored.data;
}

// Copies a tensor to where it is wanted.
void Program::give(int tensor, const Wanted& wanted) {
  const auto to = wanted.find(tensor);
  if (to == wanted.end() || to->second == data_of(tensor)) return;
  const Storage& stored = storage_[static_cast<size_t>(tensor)];
  if (stored.layout == Layout::nhwc)
    convert_layout(stored.type, data_of(tensor), stored.layout, to->second, pool_);
  else if (const auto bytes = static_cast<size_t>(stored.type.bytes()))
    std::memcpy(to->second, data_of(tensor), bytes);
}

// The place of what no node reads.
uint8_t* Program::place_of_result(int tensor, const Wanted& wanted) {
  const auto to = wanted.find(tensor);
  if (to != wanted.end()) return to->second;
  std::vector<uint8_t>& place = unwanted_[tensor];
  place.resize(static_cast<size_t>(storage_[static_cast<size_t>(tensor)].type.bytes() + slack));
  return place.data();
}

void Program::run_step(Step& step, const Wanted& wanted, RunContext& context) {
  for (const Conversion& c : step.conversions) {
    const Storage &from = storage_[static_cast<size_t>(c.from)], &to = storage_[static_cast<size_t>(c.to)];
    convert_layout(from.type, data_of(c.from), from.layout, to.data, pool_);
  }
  for (size_t k = 0; k < step.in.size(); ++k)
    if (step.inputs[k] >= 0) step.in[k].data = data_of(step.inputs[k]);
  for (size_t k = 0; k < step.out.size(); ++k) {
    const int i = step.definition.outputs[k];
    Storage& stored = storage_[static_cast<size_t>(i)];
    if (stored.outside == Outside::result) stored.data = place_of_result(i, wanted);
    step.out[k].data = stored.data;
  }
  step.implementation.op->run(step.in, step.out, context);
}

std::vector<Tally> Program::count(const std::vector<const uint8_t*>& inputs, const Wanted& wanted) {
  if (!counting_) {
    std::vector<NodeDefinition> nodes;
    for (const Step& step : steps_) nodes.push_back(step.definition);
    counting_ =
        std::make_unique<Program>(tensors_, constants_, std::move(nodes), inputs_, "reference", pool_.threads());
  }
  std::vector<Tally> tallies;
  counting_->run_all(inputs, wanted, &tallies);
  return tallies;
}

void Program::run_all(const std::vector<const uint8_t*>& inputs, const Wanted& wanted, std::vector<Tally>* tallies) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    Storage& stored = storage_[static_cast<size_t>(inputs_[i])];
    if (stored.outside == Outside::input)
      stored.data = const_cast<uint8_t*>(inputs[i]);  // only read
    else if (const auto bytes = static_cast<size_t>(stored.type.bytes()))
      std::memcpy(stored.data, inputs[i], bytes);
    give(inputs_[i], wanted);
  }
  for (const auto& [i, bytes] : constants_) give(i, wanted);
  node_seconds_.clear();
  for (Step& step : steps_) {
    RunContext context{pool_, tallies ? &tallies->emplace_back() : nullptr};
    const auto start = std::chrono::steady_clock::now();
    naming_node(step.definition, [&] { run_step(step, wanted, context); });
    node_seconds_.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    for (int i : step.definition.outputs) give(i, wanted);
  }
}

}  // namespace bittrue
