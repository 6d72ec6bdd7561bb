#include "kernels/table/reference_tables.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/run_reference.h"

namespace bittrue {

std::vector<ByteTable> reference_tables(const NodeSpec& node, size_t inputs, size_t axis) {
  std::array<uint8_t, 256> all;
  std::iota(all.begin(), all.end(), uint8_t(0));
  Shape shape(std::max<size_t>(node.inputs[0]->shape.size(), axis + 1), 1);
  shape[axis] = static_cast<int64_t>(all.size());
  std::vector<TensorType> types;
  for (size_t i = 0; i < inputs; ++i) types.push_back({node.inputs[i]->dtype, shape});
  std::vector<ConstTensor> in;
  for (const TensorType& type : types) in.push_back({&type, all.data()});
  for (size_t i = inputs; i < node.inputs.size(); ++i) in.push_back(node.constant(i));
  shape[axis] *= static_cast<int64_t>(inputs);
  const TensorType type{node.outputs[0]->dtype, shape};
  std::vector<uint8_t> results(all.size() * inputs);
  run_reference(node, in, {&type, results.data()});
  std::vector<ByteTable> tables;
  for (size_t i = 0; i < inputs; ++i) {
    std::copy_n(results.begin() + static_cast<std::ptrdiff_t>(i * all.size()), all.size(), all.begin());
    tables.emplace_back(all);
  }
  return tables;
}

}  // namespace bittrue
