// What the reference op makes of some values, for kernels that turn its meaning into a table when a model is loaded.
#pragma once

#include <vector>

#include "engine/registry.h"

namespace bittrue {

// Runs the reference op of `node`, whose inputs and outputs have the types of the tensors given.
inline void run_reference(NodeSpec node, const std::vector<ConstTensor>& in, const Tensor& out) {
  node.inputs.clear();
  for (const ConstTensor& input : in) node.inputs.push_back(input.type);
  node.outputs = {out.type};
  ThreadPool pool(1);
  RunContext context{pool, nullptr};
  make_reference(node)->run(in, {out}, context);
}

}  // namespace bittrue
