#include "kernels/path.h"

#include "engine/errors.h"

namespace bittrue {

const std::vector<std::string>& known_paths() {
  static const std::vector<std::string> paths = {"reference", "generic"};
  return paths;
}

bool path_available(const std::string& path) {
  path_rank(path);
  return true;
}

std::string best_path() { return known_paths().back(); }

int path_rank(const std::string& path) {
  const auto& paths = known_paths();
  for (size_t i = 0; i < paths.size(); ++i)
    if (paths[i] == path) return static_cast<int>(i);
  throw DataError("unknown path '" + path + "'");
}

}  // namespace bittrue
