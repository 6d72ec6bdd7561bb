// Working memory of kernels: one growing buffer per thread and purpose, so that a steady state allocates nothing.
#pragma once

#include <cstdint>
#include <vector>

namespace bittrue {

enum class ScratchUse : uint8_t { image, panel, rows, sums, count };

// At least `bytes` bytes, aligned to 64, and 64 more that may be read; their content is undefined. Valid until the
// thread asks again for this use.
inline uint8_t* scratch_bytes(ScratchUse use, int64_t bytes) {
  thread_local std::vector<uint8_t> buffers[static_cast<size_t>(ScratchUse::count)];
  constexpr int64_t alignment = 64;
  std::vector<uint8_t>& buffer = buffers[static_cast<size_t>(use)];
  const auto needed = static_cast<size_t>(bytes + 2 * alignment);
  if (buffer.size() < needed) buffer.resize(needed);
  uint8_t* data = buffer.data();
  return data + (alignment - reinterpret_cast<uintptr_t>(data) % alignment) % alignment;
}

template <class T>
T* scratch(ScratchUse use, int64_t count) {
  return reinterpret_cast<T*>(scratch_bytes(use, count * static_cast<int64_t>(sizeof(T))));
}

}  // namespace bittrue
