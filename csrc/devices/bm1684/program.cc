#include "devices/bm1684/program.h"

#include "engine/errors.h"

namespace bittrue::bm1684 {

namespace {

constexpr int64_t largest_scratch = int64_t(1) << 31;

std::string command_name(Engine engine, int64_t index) {
  return std::string(engine == Engine::bdc ? "BDC" : "GDMA") + " command " + std::to_string(index + 1);
}

template <class Make>
void add_step(std::vector<Step>& steps, Engine engine, int64_t index, uint32_t id, uint32_t wait_for,
              const Make& make) {
  try {
    steps.push_back({engine, index, id, wait_for, make()});
    const int64_t scratch = steps.back().operation->scratch_bytes();
    if (scratch < 0 || scratch > largest_scratch)
      throw DataError("needs " + std::to_string(scratch) + " bytes of work memory");
  } catch (const UnsupportedError& e) {
    throw UnsupportedError(command_name(engine, index) + ": " + e.what());
  } catch (const DataError& e) {
    throw DataError(command_name(engine, index) + ": " + e.what());
  }
}

}  // namespace

uint8_t* Machine::scratch(int64_t bytes) {
  constexpr size_t alignment = 64;
  if (scratch_.size() < static_cast<size_t>(bytes) + alignment) scratch_.resize(static_cast<size_t>(bytes) + alignment);
  const auto address = reinterpret_cast<uintptr_t>(scratch_.data());
  return scratch_.data() + (alignment - address % alignment) % alignment;
}

Program::Program(const std::vector<Words>& bdc, const std::vector<Words>& gdma, const Memory& memory)
    : bdc_count_(bdc.size()) {
  steps_.reserve(bdc.size() + gdma.size());
  for (size_t i = 0; i < bdc.size(); ++i) {
    const BdcCommand c = decode_bdc(bdc[i]);
    add_step(steps_, Engine::bdc, static_cast<int64_t>(i), c.cmd_id_tpu, c.cmd_id_gdma,
             [&] { return make_operation(c, memory); });
  }
  for (size_t i = 0; i < gdma.size(); ++i) {
    const GdmaCommand c = decode_gdma(gdma[i]);
    add_step(steps_, Engine::gdma, static_cast<int64_t>(i), c.cmd_id, c.eng0_sync_id,
             [&] { return make_operation(c, memory); });
  }
  for (const Step& s : steps_) scratch_bytes_ = std::max(scratch_bytes_, s.operation->scratch_bytes());
}

std::vector<size_t> Program::order(Preference preference) const {
  std::vector<size_t> result;
  size_t next[2] = {0, bdc_count_};
  const size_t end[2] = {bdc_count_, steps_.size()};
  uint32_t done[2] = {0, 0};
  const size_t first = preference == Preference::gdma_first ? 1 : 0;
  while (next[0] < end[0] || next[1] < end[1]) {
    bool moved = false;
    for (const size_t engine : {first, 1 - first}) {
      if (next[engine] == end[engine] || steps_[next[engine]].wait_for > done[1 - engine]) continue;
      done[engine] = steps_[next[engine]].id;
      result.push_back(next[engine]++);
      moved = true;
      break;
    }
    if (!moved) {
      std::string waiting;
      for (const size_t engine : {size_t(0), size_t(1)})
        if (next[engine] < end[engine]) {
          const Step& s = steps_[next[engine]];
          waiting += (waiting.empty() ? "" : ", ") + command_name(s.engine, s.index) + " waits for id " +
                     std::to_string(s.wait_for) + " of the other engine";
        }
      throw DataError("deadlock: " + waiting);
    }
  }
  return result;
}

void Program::run(Machine& machine, const std::vector<size_t>& order, std::vector<UnwrittenRead>* unwritten) const {
  const RunContext context{machine.memory, machine.pool, machine.kernels, machine.scratch(scratch_bytes_)};
  for (const size_t k : order) {
    const Operation& operation = *steps_.at(k).operation;
    if (!machine.memory.tracking()) {
      operation.run(context);
      continue;
    }
    const std::vector<Access>& accesses = operation.accesses();
    if (operation.copies()) {  // never-written bytes stay so where they are moved to
      operation.run(context);
      operation.copy(context, machine.memory.flags(accesses[0].view.space),
                     machine.memory.flags(accesses[1].view.space));
      continue;
    }
    for (const Access& a : accesses) {
      if (a.write) continue;
      const int64_t missing = machine.memory.count_unwritten(a.view);
      if (missing && unwritten) unwritten->push_back({k, a.operand, missing});
    }
    operation.run(context);
    for (const Access& a : accesses)
      if (a.write) machine.memory.mark_written(a.view);
  }
}

}  // namespace bittrue::bm1684
