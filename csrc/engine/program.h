// A loaded quantized graph: typed tensors, constants, nodes in execution order, and one implementation per node.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/memory_plan.h"
#include "engine/op.h"
#include "engine/registry.h"

namespace bittrue {

struct TensorSpec {
  std::string name;
  TensorType type;
};

struct NodeDefinition {
  std::string op;
  std::string name;
  std::vector<int> inputs;  // tensor indices, -1 where an optional input is absent
  std::vector<int> outputs;
  Attributes attributes;
};

// The bytes of the constant tensors by index.
using Constants = std::map<int, std::shared_ptr<const uint8_t>>;

struct RunResult {
  std::map<int, std::vector<uint8_t>> tensors;  // requested tensors by index, 4-D ones as NCHW
  std::vector<Tally> tallies;                   // one per node in a counting run, else empty
};

class Program {
 public:
  Program(std::vector<TensorSpec> tensors, Constants constants, std::vector<NodeDefinition> nodes,
          std::vector<int> inputs, const std::string& path, int threads);

  // `inputs` are the bytes of the graph inputs in order. Keeps the bytes of the `wanted` tensors. A counting run uses
  // the reference ops, whose sums can be observed; its values are the same.
  RunResult run(const std::vector<const uint8_t*>& inputs, const std::vector<int>& wanted, bool counting);

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  const std::vector<int>& inputs() const { return inputs_; }
  std::vector<std::string> implementation_labels() const;
  int64_t arena_bytes() const { return arena_bytes_; }
  // Seconds that each node took in the last run, with the change of layout of its inputs.
  const std::vector<double>& node_seconds() const { return node_seconds_; }

 private:
  struct Conversion {
    int from, to;
  };
  struct Step {
    NodeDefinition definition;
    NodeSpec spec;
    Implementation implementation;
    std::vector<int> inputs;              // as in the definition, but converted to the layout of the implementation
    std::vector<Conversion> conversions;  // to be made before
  };
  struct Storage {
    TensorType type;
    Layout layout = Layout::nchw;
    int64_t offset = -1;  // in the arena; constants have none
  };

  void describe(Step& step, const std::vector<ValueRange>& ranges) const;
  void choose_layouts(Step& step, std::map<int, int>& converted);
  void plan();
  void share_places(const Step& step, int at, std::vector<MemoryUse>& uses) const;
  const uint8_t* data_of(int tensor) const;
  void keep(int tensor, RunResult& result);
  RunResult run_all(const std::vector<const uint8_t*>& inputs, const std::vector<int>& wanted, bool counting);
  void run_step(const Step& step, RunContext& context);

  std::vector<TensorSpec> tensors_;
  Constants constants_;
  std::vector<Step> steps_;
  std::vector<int> inputs_;
  std::vector<Storage> storage_;  // of the tensors, then of their copies in the other layout
  int64_t arena_bytes_ = 0;
  std::vector<uint8_t> arena_;
  uint8_t* base_ = nullptr;  // the aligned start of the arena
  std::vector<double> node_seconds_;
  std::unique_ptr<Program> counting_;  // the same graph on the reference ops, made on the first counting run
  ThreadPool pool_;
};

}  // namespace bittrue
