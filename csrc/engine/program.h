// A loaded quantized graph: typed tensors, constants, nodes in execution order, and one implementation per node.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

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

struct RunResult {
  std::map<int, std::vector<uint8_t>> tensors;  // requested tensors by index
  std::vector<Tally> tallies;                   // one per node in a counting run, else empty
};

class Program {
 public:
  Program(std::vector<TensorSpec> tensors, std::map<int, std::vector<uint8_t>> constants,
          std::vector<NodeDefinition> nodes, std::vector<int> inputs, const std::string& path, int threads);

  // `inputs` are the bytes of the graph inputs in order. Keeps the bytes of the `wanted` tensors. A counting run uses
  // the reference ops, whose sums can be observed; its values are the same.
  RunResult run(const std::vector<const uint8_t*>& inputs, const std::vector<int>& wanted, bool counting);

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  const std::vector<int>& inputs() const { return inputs_; }
  std::vector<std::string> implementation_labels() const;
  int64_t arena_bytes() const { return arena_bytes_; }
  // Seconds that each node took in the last run.
  const std::vector<double>& node_seconds() const { return node_seconds_; }

 private:
  void plan();

  struct Step {
    NodeDefinition definition;
    NodeSpec spec;
    Implementation implementation;
    std::unique_ptr<Op> counting;  // made on the first counting run when the implementation is a kernel
  };

  std::vector<TensorSpec> tensors_;
  std::map<int, std::vector<uint8_t>> constants_;
  std::vector<Step> steps_;
  std::vector<int> inputs_;
  std::vector<int64_t> offsets_;  // of each tensor in the arena; -1 for constants
  int64_t arena_bytes_ = 0;
  std::vector<uint8_t> arena_;
  std::vector<double> node_seconds_;
  ThreadPool pool_;
};

}  // namespace bittrue
