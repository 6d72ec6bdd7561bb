// Finds the implementation of a node: the best kernel that the path allows, or the reference op.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/layout.h"
#include "engine/op.h"

namespace bittrue {

// What an implementation asks of its 4-D tensors.
struct LayoutNeed {
  std::optional<Layout> layout = Layout::nchw;  // none: any, as long as all have the same
  bool only_if_stored = false;  // not worth a conversion: the reference op is as good where none is NHWC
};

struct Implementation {
  std::unique_ptr<Op> op;
  std::string label = "reference";  // or "<kernel>/<path>"
  LayoutNeed need;

  // Kernels may read more than the bytes of a tensor, if they do not treat every element by itself.
  bool reads_beyond() const { return label != "reference" && need.layout; }
};

// The reference op of csrc/ops. Throws UnsupportedError for unknown ops and unknown attributes.
std::unique_ptr<Op> make_reference(const NodeSpec& node);

// The fastest kernel on or below `path` that accepts a node, which the reference op accepts; nothing if none does.
std::optional<Implementation> make_kernel(const NodeSpec& node, const std::string& path);

// Names of all ops of ops.def.
std::vector<std::string> op_names();

}  // namespace bittrue
