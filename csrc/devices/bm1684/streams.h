// Element-wise commands on 1N tensors of 32-bit words in the automatic layout (task types 6, 8, 9 and 13).
#pragma once

#include <algorithm>

#include "devices/bm1684/operands.h"

namespace bittrue::bm1684 {

struct Source {
  bool constant = false;
  uint32_t value = 0;
  View view;
};

class Stream : public Operation {
 public:
  void run(const RunContext& context) const override {
    const int64_t plane = shape_.h * shape_.w;
    const int64_t tasks = shape_.n * shape_.c;
    const int64_t grain = shared_place_ ? tasks : std::max<int64_t>(1, 2048 / plane);
    context.parallel(tasks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        for (int64_t p = 0; p < plane; p += chunk)
          run_words(context, t / shape_.c, t % shape_.c, p, std::min(chunk, plane - p));
    });
  }

 protected:
  static constexpr int64_t chunk = 512;

  explicit Stream(const BdcCommand& c) : command_(c), shape_{c.res0_n, c.res0_c, c.res0_h, c.res0_w} {}

  // `count` words from word `p` of a channel plane on.
  virtual void run_words(const RunContext& context, int64_t n, int64_t c, int64_t p, int64_t count) const = 0;

  Source source(const char* name, bool constant, uint32_t address, Element element) {
    Source s;
    s.constant = constant;
    s.value = address;
    if (!constant) {
      s.view = aligned_view(address, Precision::fp32, shape_);
      add_access(name, s.view, element, false);
    }
    return s;
  }

  View result(const char* name, uint32_t address, Element element) {
    const View v = aligned_view(address, Precision::fp32, shape_);
    for (const Access& a : accesses())
      if (meets_elsewhere(a.view, v)) shared_place_ = true;
    if (shared_place_) assume(order_of_overlaps);
    add_access(name, v, element, true);
    return v;
  }

  static const uint32_t* words(const RunContext& context, const Source& s, int64_t n, int64_t c, int64_t p,
                               int64_t count, uint32_t* buffer) {
    if (s.constant) {
      std::fill(buffer, buffer + count, s.value);
      return buffer;
    }
    const View& v = s.view;
    const uint8_t* base = context.local() + v.at(n, c, 0, 0);
    if (v.w_stride == 4 && v.h_stride == 4 * v.w) return reinterpret_cast<const uint32_t*>(base) + p;
    for (int64_t i = 0; i < count; ++i)
      buffer[i] = *reinterpret_cast<const uint32_t*>(base + (p + i) / v.w * v.h_stride + (p + i) % v.w * v.w_stride);
    return buffer;
  }

  static uint32_t* words(const RunContext& context, const View& v, int64_t n, int64_t c, int64_t p) {
    return reinterpret_cast<uint32_t*>(context.local() + v.at(n, c, 0, 0)) + p;
  }

  BdcCommand command_;
  Extent shape_;
  bool shared_place_ = false;  // a result overlaps an operand at another place: keep the order of elements
};

// A table in L2; the address is an offset from the start of L2.
inline View table_view(uint64_t offset, int64_t entries) {
  View v;
  v.space = Space::l2;
  v.w = entries;
  v.w_stride = 4;
  if (offset % 4 || static_cast<int64_t>(offset) + 4 * entries > l2_bytes)
    throw DataError("a table of " + std::to_string(entries) + " words at L2 offset " + hex(offset));
  v.offset = static_cast<int64_t>(offset);
  return v;
}

}  // namespace bittrue::bm1684
