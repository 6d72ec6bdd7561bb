#include "kernels/path.h"

#include "engine/errors.h"

namespace bittrue {

const std::vector<std::string>& known_paths() {
  static const std::vector<std::string> paths = {"reference", "generic", "avx2", "avxvnni", "avx512vnni"};
  return paths;
}

bool path_available(const std::string& path) {
  path_rank(path);
#if defined(BITTRUE_EMULATE_VNNI)
  if (path == "avx512vnni") return true;
#endif
#if defined(__x86_64__)
  if (path == "avx2") return __builtin_cpu_supports("avx2");
  if (path == "avxvnni") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avxvnni");
  if (path == "avx512vnni")
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vnni");
#else
  if (path == "avx2" || path == "avxvnni" || path == "avx512vnni") return false;
#endif
  return true;
}

std::string best_path() {
  const auto& paths = known_paths();
  for (auto path = paths.rbegin(); path != paths.rend(); ++path)
    if (path_available(*path)) return *path;
  return paths.front();
}

int path_rank(const std::string& path) {
  const auto& paths = known_paths();
  for (size_t i = 0; i < paths.size(); ++i)
    if (paths[i] == path) return static_cast<int>(i);
  throw DataError("unknown path '" + path + "'");
}

}  // namespace bittrue
