#include "devices/bm1684/memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "devices/bm1684/tables.h"
#include "engine/errors.h"

namespace bittrue::bm1684 {

std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

int64_t View::reach() const {
  const int64_t last_c = space == Space::local ? (start_lane + c - 1) / lanes : c - 1;
  const int64_t in_word = per_word > 1 ? per_word * bytes : bytes;
  return (n - 1) / per_word * n_stride + last_c * c_stride + (h - 1) * h_stride + (w - 1) * w_stride + in_word;
}

void check_shape(const View& view) {
  if (view.n < 1 || view.c < 1 || view.h < 1 || view.w < 1)
    throw DataError("a tensor of shape [" + std::to_string(view.n) + ", " + std::to_string(view.c) + ", " +
                    std::to_string(view.h) + ", " + std::to_string(view.w) + "]");
  if (view.elements() > largest_tensor) throw DataError("a tensor of " + std::to_string(view.elements()) + " elements");
}

void place_local(View& view, uint64_t address) {
  check_shape(view);
  view.space = Space::local;
  const auto inside = static_cast<int64_t>(address % static_cast<uint64_t>(local_bytes));
  view.start_lane = inside / lane_bytes;
  view.offset = inside % lane_bytes;
  if (view.offset + view.reach() > lane_bytes)
    throw DataError("a tensor at " + hex(address) + " reaches " + hex(static_cast<uint64_t>(view.reach())) +
                    " bytes and leaves its lane");
}

#if defined(__linux__)
// Room for one large page more, so that an empty memory can be mapped, too.
constexpr uint64_t large_page = 2 << 20;

ZeroedBytes::ZeroedBytes(uint64_t size) : size_(size) {
  void* p = size > UINT64_MAX / 2 ? MAP_FAILED
                                  : mmap(nullptr, size + large_page, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw DataError("no memory for " + std::to_string(size) + " bytes of simulated memory");
  madvise(p, size + large_page, MADV_HUGEPAGE);
  data_ = static_cast<uint8_t*>(p);
}

ZeroedBytes::~ZeroedBytes() { munmap(data_, size_ + large_page); }
#else
ZeroedBytes::ZeroedBytes(uint64_t size) : data_(static_cast<uint8_t*>(std::calloc(size ? size : 1, 1))), size_(size) {
  if (!data_) throw DataError("no memory for " + std::to_string(size) + " bytes of simulated memory");
}

ZeroedBytes::~ZeroedBytes() { std::free(data_); }
#endif

Memory::Memory(uint64_t device_base, uint64_t device_size, uint8_t fill, bool tracking)
    : device_base_(device_base),
      fill_(fill),
      local_(static_cast<uint64_t>(local_bytes)),
      l2_(static_cast<uint64_t>(l2_bytes)),
      device_(device_size) {
  if (tracking) {
    written_[0].resize(local_.size());
    written_[1].resize(l2_.size());
    written_[2].resize(device_.size());
  }
  start();
}

void Memory::reset() {
  std::memset(l2_.data(), 0, l2_.size());
  std::memset(device_.data(), 0, device_.size());
  start();
}

void Memory::start() {
  std::memset(local_.data(), fill_, local_.size());
  write_l2_tables(l2_.data());
  if (!tracking()) return;
  for (auto& flags : written_) std::fill(flags.begin(), flags.end(), uint8_t(0));
  std::memset(written_[1].data() + l2_tables_begin, 1, l2_tables_end - l2_tables_begin);
}

ZeroedBytes& Memory::bytes(Space space) {
  return space == Space::local ? local_ : (space == Space::l2 ? l2_ : device_);
}

void Memory::place_system(View& view, uint64_t address) const {
  check_shape(view);
  const bool in_l2 = address >= l2_base && address < l2_base + static_cast<uint64_t>(l2_bytes);
  view.space = in_l2 ? Space::l2 : Space::device;
  const uint64_t base = in_l2 ? l2_base : device_base_;
  const int64_t limit = size(view.space);
  const int64_t reach = view.reach();
  if (address < base || address - base >= static_cast<uint64_t>(limit) ||
      reach > limit - static_cast<int64_t>(address - base))
    throw DataError("a tensor of " + std::to_string(reach) + " bytes at " + hex(address) +
                    " lies outside of device memory [" + hex(device_base_) + ", " + hex(device_base_ + device_.size()) +
                    ") and L2");
  view.offset = static_cast<int64_t>(address - base);
}

int64_t Memory::device_offset(uint64_t address, uint64_t count) const {
  if (address < device_base_ || address - device_base_ > device_.size() ||
      count > device_.size() - (address - device_base_))
    throw DataError(std::to_string(count) + " bytes at " + hex(address) + " lie outside of device memory [" +
                    hex(device_base_) + ", " + hex(device_base_ + device_.size()) + ")");
  return static_cast<int64_t>(address - device_base_);
}

void Memory::write_device(uint64_t address, const uint8_t* source, uint64_t count) {
  const int64_t at = device_offset(address, count);
  if (!count) return;
  std::memcpy(device_.data() + at, source, count);
  if (tracking()) std::memset(written_[2].data() + at, 1, count);
}

void Memory::read_device(uint64_t address, uint8_t* target, uint64_t count) const {
  const int64_t at = device_offset(address, count);
  if (count) std::memcpy(target, device_.data() + at, count);
}

void Memory::read_flags(uint64_t address, uint8_t* target, uint64_t count) const {
  if (!tracking()) throw DataError("written bytes are not tracked");
  const int64_t at = device_offset(address, count);
  if (count) std::memcpy(target, written_[2].data() + at, count);
}

namespace {

template <class Visit>
void each_element(const View& v, const Visit& visit) {
  for (int64_t n = 0; n < v.n; ++n)
    for (int64_t c = 0; c < v.c; ++c)
      for (int64_t h = 0; h < v.h; ++h)
        for (int64_t w = 0; w < v.w; ++w) visit(v.at(n, c, h, w));
}

}  // namespace

int64_t Memory::count_unwritten(const View& view) const {
  const auto& flags = written_[static_cast<size_t>(view.space)];
  int64_t missing = 0;
  each_element(view, [&](int64_t at) {
    for (int64_t b = 0; b < view.bytes; ++b) missing += flags[static_cast<size_t>(at + b)] == 0;
  });
  return missing;
}

void Memory::mark_written(const View& view) {
  auto& flags = written_[static_cast<size_t>(view.space)];
  each_element(view, [&](int64_t at) {
    for (int64_t b = 0; b < view.bytes; ++b) flags[static_cast<size_t>(at + b)] = 1;
  });
}

}  // namespace bittrue::bm1684
