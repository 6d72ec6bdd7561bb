// Finds the implementation of a node: the best kernel that the path allows, or the reference op.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/layout.h"
#include "engine/op.h"

namespace bittrue {

struct Implementation {
  std::unique_ptr<Op> op;
  std::string label = "reference";              // or "<kernel>/<path>"
  std::optional<Layout> layout = Layout::nchw;  // of its 4-D tensors; none: any, as long as all have the same
};

// The reference op of csrc/ops. Throws UnsupportedError for unknown ops and unknown attributes.
std::unique_ptr<Op> make_reference(const NodeSpec& node);

// The fastest kernel on or below `path` that accepts a node, which the reference op accepts; nothing if none does.
std::optional<Implementation> make_kernel(const NodeSpec& node, const std::string& path);

// Names of all ops of ops.def.
std::vector<std::string> op_names();

}  // namespace bittrue
