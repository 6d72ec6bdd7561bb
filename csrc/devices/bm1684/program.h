// A pair of command streams, decoded once into a plan.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/bm1684/operation.h"

namespace bittrue::bm1684 {

struct Step {
  Engine engine;
  int64_t index;      // in the stream of its engine
  uint32_t id;        // of the command
  uint32_t wait_for;  // id of the other engine that must have finished
  std::unique_ptr<Operation> operation;
};

enum class Preference : uint8_t { gdma_first, bdc_first };

// Never-written bytes that a command computed with.
struct UnwrittenRead {
  size_t step;
  std::string operand;
  int64_t bytes;
};

// A simulated chip: memories, threads, and the instruction set path of its kernels.
class Machine {
 public:
  Machine(uint64_t device_base, uint64_t device_size, int threads, const std::string& path, uint8_t fill, bool tracking)
      : memory(device_base, device_size, fill, tracking), pool(threads), kernels(kernels_of(path)) {}

  // At least this many bytes of 64-byte aligned scratch memory; kept between commands.
  uint8_t* scratch(int64_t bytes);

  Memory memory;
  ThreadPool pool;
  const Kernels& kernels;

 private:
  std::vector<uint8_t> scratch_;
};

class Program {
 public:
  // Decodes both streams. Errors name the engine and the number of the command.
  Program(const std::vector<Words>& bdc, const std::vector<Words>& gdma, const Memory& memory);

  const std::vector<Step>& steps() const { return steps_; }  // all BDC commands, then all GDMA commands
  // Indices into steps() in an order that respects the ids. Throws DataError if the streams wait for each other.
  std::vector<size_t> order(Preference preference) const;

  // Runs steps in the given order. With a tracking memory, never-written bytes that commands compute with are added to
  // `unwritten`; copies only pass them on.
  void run(Machine& machine, const std::vector<size_t>& order, std::vector<UnwrittenRead>* unwritten) const;

 private:
  size_t bdc_count_;
  std::vector<Step> steps_;
  int64_t scratch_bytes_ = 0;
};

}  // namespace bittrue::bm1684
