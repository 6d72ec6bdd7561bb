#include <cstdint>

#include "devices/bm1684/kernels.h"
#include "engine/errors.h"
#include "kernels/path.h"

namespace {

constexpr const char* path_name = "generic";
constexpr int vector_lanes = 4;
typedef int32_t Int32x4 __attribute__((vector_size(16), aligned(4)));

inline Int32x4 add_pair_products(Int32x4 sum, Int32x4 x, Int32x4 w) {
  typedef uint32_t Unsigned __attribute__((vector_size(16)));
  const auto low = reinterpret_cast<Unsigned>((x << 16) >> 16) * reinterpret_cast<Unsigned>((w << 16) >> 16);
  const auto high = reinterpret_cast<Unsigned>(x >> 16) * reinterpret_cast<Unsigned>(w >> 16);
  return reinterpret_cast<Int32x4>(reinterpret_cast<Unsigned>(sum) + low + high);
}

}  // namespace

#include "devices/bm1684/kernel_loops.h"

namespace bittrue::bm1684 {

const Kernels& generic_kernels() { return kernel_table; }

const Kernels& kernels_of(const std::string& path) {
  if (path != "best" && !path_available(path)) throw DataError("path '" + path + "' is not available here");
#if defined(__x86_64__)
  const bool vectors = path == "best" || path_rank(path) >= path_rank("avx2");
  if (vectors && __builtin_cpu_supports("avx2")) return avx2_kernels();
#endif
  return kernel_table;
}

}  // namespace bittrue::bm1684
