// What an op is to the engine. Reference ops (csrc/ops) and kernels (csrc/kernels) share this interface.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "arith/output_stage.h"
#include "engine/attributes.h"
#include "engine/tensor.h"
#include "engine/thread_pool.h"

namespace bittrue {

// Integers in [low, high].
struct ValueRange {
  int64_t low = 0;
  int64_t high = 0;
};

// The smallest range that holds both.
inline ValueRange hull(ValueRange a, ValueRange b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }

struct NodeSpec {
  std::string op;
  std::string name;
  std::vector<const TensorType*> inputs;  // nullptr where an optional input is absent
  std::vector<const TensorType*> outputs;
  Attributes attributes;
  std::vector<const uint8_t*> constants;  // bytes of each input that is a constant, else nullptr; kernels pack from it
  std::vector<ValueRange> ranges;         // what the values of each input are known to lie in (engine/value_range.h)

  bool has_input(size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  // The view of a constant input; not present() if the input is absent or computed at run time.
  ConstTensor constant(size_t i) const {
    return i < constants.size() && constants[i] ? ConstTensor{inputs[i], constants[i]} : ConstTensor{};
  }
};

struct RunContext {
  ThreadPool& pool;
  Tally* tally;  // nullptr unless this run counts

  // body(begin, end, tally) over blocks of [0, n), where `tally` is a Tally in a counting run and a NoTally otherwise.
  template <class Body>
  void for_blocks(int64_t n, int64_t grain, const Body& body) {
    if (!tally) {
      pool.parallel_for(n, grain, [&](int64_t begin, int64_t end) {
        NoTally none;
        body(begin, end, none);
      });
      return;
    }
    std::mutex merging;
    pool.parallel_for(n, grain, [&](int64_t begin, int64_t end) {
      Tally part;
      body(begin, end, part);
      const std::lock_guard<std::mutex> lock(merging);
      tally->merge(part);
    });
  }
};

class Op {
 public:
  Op() = default;
  virtual ~Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  // Inputs and outputs are in the order of the node; an absent optional input is not present(). Shapes are those of
  // the graph, (N, C, H, W) also where a kernel asked for NHWC.
  virtual void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const = 0;

  // Reference ops that only move elements, or read them from a table, tell what their outputs lie in, given the ranges
  // of the inputs; all others may give whatever the type and their clamp allow.
  virtual std::optional<ValueRange> moved_range(const std::vector<ValueRange>&) const { return std::nullopt; }
};

// Elements per block below which splitting costs more than it gains.
constexpr int64_t elementwise_grain = 16384;

}  // namespace bittrue
