// One decoded command, ready to run any number of times.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arith/float_format.h"
#include "devices/bm1684/command.h"
#include "devices/bm1684/kernels.h"
#include "devices/bm1684/memory.h"
#include "engine/thread_pool.h"

namespace bittrue::bm1684 {

enum class Element : uint8_t { int8, uint8, int16, uint16, int32, float32, float16, raw8 };

// A tensor that a command reads or writes.
struct Access {
  std::string operand;
  View view;
  Element element = Element::raw8;
  bool write = false;
};

struct RunContext {
  Memory& memory;
  ThreadPool& pool;
  const Kernels& kernels;
  uint8_t* scratch;  // 64-byte aligned, at least scratch_bytes()

  uint8_t* local() const { return memory.data(Space::local); }

  // Splits [0, n) over the threads; float arithmetic inside flushes subnormals, as the chip does.
  template <class Body>
  void parallel(int64_t n, int64_t grain, const Body& body) const {
    pool.parallel_for(n, grain, [&](int64_t begin, int64_t end) {
      const FlushGuard flush(true);
      body(begin, end);
    });
  }
};

class Operation {
 public:
  virtual ~Operation() = default;
  virtual void run(const RunContext& context) const = 0;
  virtual int64_t scratch_bytes() const { return 0; }
  // Whether the command only moves bytes from its first operand to its second; `copy` then does so between any two
  // arrays that are laid out like their memories.
  virtual bool copies() const { return false; }
  virtual void copy(const RunContext&, const uint8_t* /*source*/, uint8_t* /*target*/) const {}
  // Multiply-accumulates, for profiles.
  virtual int64_t macs() const { return 0; }

  // What the result rests on that was never compared with the chip; empty if nothing.
  const std::string& assumption() const { return assumption_; }

  // Operands in the order of their names; constants are not listed.
  const std::vector<Access>& accesses() const { return accesses_; }

 protected:
  const View& add_access(std::string operand, const View& view, Element element, bool write) {
    accesses_.push_back({std::move(operand), view, element, write});
    return accesses_.back().view;
  }

  void assume(std::string what) { assumption_ = std::move(what); }

 private:
  std::vector<Access> accesses_;
  std::string assumption_;
};

// Throws UnsupportedError("not implemented: <what>").
[[noreturn]] void not_implemented(const std::string& what);

// The operation of a command. Throws DataError for operands outside of the memories and UnsupportedError for features
// without known meaning.
std::unique_ptr<Operation> make_operation(const BdcCommand& command, const Memory& memory);
std::unique_ptr<Operation> make_operation(const GdmaCommand& command, const Memory& memory);

// One per task type.
std::unique_ptr<Operation> make_convolution(const BdcCommand& command);
std::unique_ptr<Operation> make_window(const BdcCommand& command);  // depthwise convolution and pooling
std::unique_ptr<Operation> make_matmul(const BdcCommand& command);
std::unique_ptr<Operation> make_arithmetic(const BdcCommand& command);
std::unique_ptr<Operation> make_lookup(const BdcCommand& command);
std::unique_ptr<Operation> make_scalar(const BdcCommand& command);
std::unique_ptr<Operation> make_sfu(const BdcCommand& command);
std::unique_ptr<Operation> make_compare(const BdcCommand& command);

}  // namespace bittrue::bm1684
