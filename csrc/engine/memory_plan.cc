#include "engine/memory_plan.h"

#include <algorithm>

namespace bittrue {

namespace {

bool meet(const MemoryUse& a, const MemoryUse& b) { return a.first <= b.last && b.first <= a.last; }

size_t owner_of_place(const std::vector<MemoryUse>& uses, size_t tensor) {
  while (uses[tensor].place_of >= 0) tensor = static_cast<size_t>(uses[tensor].place_of);
  return tensor;
}

}  // namespace

void MemoryUse::add_step(int step) {
  first = std::min(first, step);
  last = std::max(last, step);
}

// Large tensors first, each at the lowest offset that is free in all its steps: small ones fill the gaps.
MemoryPlan plan_memory(std::vector<MemoryUse> uses, int64_t alignment) {
  std::vector<size_t> order;
  for (size_t t = 0; t < uses.size(); ++t) {
    if (!uses[t].is_used()) continue;
    const size_t owner = owner_of_place(uses, t);
    if (owner == t)
      order.push_back(t);
    else
      uses[owner].add_step(uses[t].last);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return uses[a].bytes > uses[b].bytes; });
  MemoryPlan plan;
  plan.offsets.assign(uses.size(), -1);
  std::vector<size_t> placed;  // sorted by offset
  for (size_t t : order) {
    int64_t offset = 0;
    for (size_t other : placed) {
      if (!meet(uses[t], uses[other])) continue;
      if (offset + uses[t].bytes <= plan.offsets[other]) break;
      const int64_t end = plan.offsets[other] + uses[other].bytes;
      offset = std::max(offset, (end + alignment - 1) / alignment * alignment);
    }
    plan.offsets[t] = offset;
    plan.bytes = std::max(plan.bytes, offset + uses[t].bytes);
    const auto after = [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), t, after), t);
  }
  for (size_t t = 0; t < uses.size(); ++t) plan.offsets[t] = plan.offsets[owner_of_place(uses, t)];
  return plan;
}

}  // namespace bittrue
