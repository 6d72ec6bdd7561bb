// Places the tensors of a program in one block of memory, where those that are never needed at once may lie in the same
// bytes.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace bittrue {

// One tensor, needed in the steps [first, last].
struct MemoryUse {
  int64_t bytes = 0;
  int first = std::numeric_limits<int>::max(), last = std::numeric_limits<int>::min();
  int place_of = -1;  // the tensor whose bytes it takes over: one of the same size, or none

  bool is_used() const { return first <= last; }
  void add_step(int step);
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // of each tensor that is used, else -1
  int64_t bytes = 0;
};

MemoryPlan plan_memory(std::vector<MemoryUse> uses, int64_t alignment);

}  // namespace bittrue
