#include "engine/registry.h"

#include "kernels/path.h"

namespace bittrue {

#define BITTRUE_OP(name, header) std::unique_ptr<Op> make_op_##name(const NodeSpec& node);
#include "ops/ops.def"
#undef BITTRUE_OP

#define BITTRUE_KERNEL(name, op, path, layout) std::unique_ptr<Op> make_kernel_##name##_##path(const NodeSpec& node);
#include "kernels/kernels.def"
#undef BITTRUE_KERNEL

namespace {

// What the last column of kernels.def means.
namespace layouts {
constexpr LayoutNeed nchw = {Layout::nchw, false}, nhwc = {Layout::nhwc, false}, any = {std::nullopt, false};
constexpr LayoutNeed stored_nhwc = {Layout::nhwc, true};
}  // namespace layouts

using Factory = std::unique_ptr<Op> (*)(const NodeSpec&);

struct OpEntry {
  const char* name;
  Factory make;
};

struct KernelEntry {
  const char* name;
  const char* op;
  const char* path;
  LayoutNeed need;
  Factory make;
};

const std::vector<OpEntry>& ops() {
  static const std::vector<OpEntry> table = {
#define BITTRUE_OP(name, header) {#name, make_op_##name},
#include "ops/ops.def"
#undef BITTRUE_OP
  };
  return table;
}

const std::vector<KernelEntry>& kernels() {
  static const std::vector<KernelEntry> table = {
#define BITTRUE_KERNEL(name, op, path, layout) {#name, #op, #path, layouts::layout, make_kernel_##name##_##path},
#include "kernels/kernels.def"
#undef BITTRUE_KERNEL
  };
  return table;
}

}  // namespace

std::unique_ptr<Op> make_reference(const NodeSpec& node) {
  for (const OpEntry& entry : ops()) {
    if (node.op != entry.name) continue;
    std::unique_ptr<Op> op = entry.make(node);
    node.attributes.check_all_read();
    return op;
  }
  throw UnsupportedError("unknown op '" + node.op + "'");
}

std::optional<Implementation> make_kernel(const NodeSpec& node, const std::string& path) {
  const auto& all = kernels();
  for (int rank = path_rank(path); rank > 0; --rank)
    for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
      if (node.op != entry->op || path_rank(entry->path) != rank) continue;
      if (std::unique_ptr<Op> op = entry->make(node))
        return Implementation{std::move(op), std::string(entry->name) + "/" + entry->path, entry->need};
    }
  return std::nullopt;
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const OpEntry& entry : ops()) names.emplace_back(entry.name);
  return names;
}

}  // namespace bittrue
