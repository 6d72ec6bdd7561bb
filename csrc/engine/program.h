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

// Where the bytes of tensors are wanted, by index; 4-D ones come as NCHW. Up to `slack` bytes more may be overwritten.
using Wanted = std::map<int, uint8_t*>;

class Program {
 public:
  Program(std::vector<TensorSpec> tensors, Constants constants, std::vector<NodeDefinition> nodes,
          std::vector<int> inputs, const std::string& path, int threads);

  static constexpr int64_t slack = 64;  // kernels may use this many bytes behind the last of a tensor

  // `inputs` are the bytes of the graph inputs in order.
  void run(const std::vector<const uint8_t*>& inputs, const Wanted& wanted) { run_all(inputs, wanted, nullptr); }
  // Counts at every node, with the reference ops, whose sums can be observed; the values are the same.
  std::vector<Tally> count(const std::vector<const uint8_t*>& inputs, const Wanted& wanted);

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
    std::vector<ConstTensor> in;          // what the implementation gets
    std::vector<Tensor> out;
  };
  // What does not lie in the arena: constants, inputs that are read where the caller has them, and what no node reads,
  // which is written where it is wanted.
  enum class Outside : uint8_t { no, constant, input, result };
  struct Storage {
    TensorType type;
    Layout layout = Layout::nchw;
    bool is_read = false;         // by a node
    bool is_read_beyond = false;  // by a kernel that may read more than its bytes
    Outside outside = Outside::no;
    int64_t offset = -1;      // in the arena
    uint8_t* data = nullptr;  // of the current run
  };

  void describe(Step& step, const std::vector<ValueRange>& ranges) const;
  void choose_layouts(Step& step, std::map<int, int>& converted);
  bool widens_a_result(const NodeDefinition& node) const;
  void plan();
  void share_places(const Step& step, int at, std::vector<MemoryUse>& uses) const;
  const uint8_t* data_of(int tensor) const;
  uint8_t* place_of_result(int tensor, const Wanted& wanted);
  void give(int tensor, const Wanted& wanted);
  void run_all(const std::vector<const uint8_t*>& inputs, const Wanted& wanted, std::vector<Tally>* tallies);
  void run_step(Step& step, const Wanted& wanted, RunContext& context);

  std::vector<TensorSpec> tensors_;
  Constants constants_;
  std::vector<Step> steps_;
  std::vector<int> inputs_;
  std::vector<Storage> storage_;  // of the tensors, then of their copies in the other layout
  int64_t arena_bytes_ = 0;
  std::vector<uint8_t> arena_;
  uint8_t* base_ = nullptr;                       // the aligned start of the arena
  std::map<int, std::vector<uint8_t>> unwanted_;  // places of results that nobody asked for
  std::vector<double> node_seconds_;
  std::unique_ptr<Program> counting_;  // the same graph on the reference ops, made on the first counting run
  ThreadPool pool_;
};

}  // namespace bittrue
