// Instruction set paths, slowest first. `reference` runs the plain loops of csrc/ops only.
#pragma once

#include <string>
#include <vector>

namespace bittrue {

// All paths this build knows, in rising order.
const std::vector<std::string>& known_paths();

// Whether this machine can run the path.
bool path_available(const std::string& path);

// The best available path.
std::string best_path();

// Rank in known_paths(); throws DataError for an unknown name.
int path_rank(const std::string& path);

}  // namespace bittrue
