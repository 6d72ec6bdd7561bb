// Slice, Split and Pad of NHWC images: the reference op on the shape and the attributes in the order of storage, where
// the channels of a pixel are one run.
#include "engine/registry.h"
#include "kernels/move/stored_order.h"
#include "kernels/path.h"
#include "ops/broadcast.h"

namespace bittrue {

namespace {

using Types = std::vector<TensorType>;

Types stored_types(const std::vector<const TensorType*>& types) {
  Types stored;
  for (const TensorType* type : types) stored.push_back({type->dtype, in_stored_order(type->shape)});
  return stored;
}

std::vector<const TensorType*> addresses(const Types& types) {
  std::vector<const TensorType*> all;
  for (const TensorType& type : types) all.push_back(&type);
  return all;
}

Attributes stored_attributes(const NodeSpec& node) {
  const Attributes& a = node.attributes;
  if (node.op == "Split") return Attributes({{"axis", stored_axis(normal_axis(a.integer("axis", 0), 4), 4)}});
  if (node.op == "Slice")
    return Attributes({{"starts", in_stored_order(a.integers("starts"))},
                       {"steps", in_stored_order(a.integers("steps", {1, 1, 1, 1}))}});
  const std::vector<int64_t> pads = a.integers("pads");
  std::vector<int64_t> stored = in_stored_order(std::vector<int64_t>(pads.begin(), pads.begin() + 4));
  const std::vector<int64_t> ends = in_stored_order(std::vector<int64_t>(pads.begin() + 4, pads.end()));
  stored.insert(stored.end(), ends.begin(), ends.end());
  std::map<std::string, Attribute> values = {{"pads", stored}, {"mode", a.text("mode", "constant")}};
  if (node.inputs[0]->dtype == DType::float32)
    values["value"] = a.real("value", 0.0);
  else
    values["value"] = a.integer("value", 0);
  return Attributes(values);
}

class OnStoredOrder final : public Op {
 public:
  explicit OnStoredOrder(const NodeSpec& node)
      : inputs_(stored_types(node.inputs)), outputs_(stored_types(node.outputs)) {
    NodeSpec stored = node;
    stored.inputs = addresses(inputs_);
    stored.outputs = addresses(outputs_);
    stored.attributes = stored_attributes(node);
    op_ = make_reference(stored);
  }

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    std::vector<ConstTensor> stored_in;
    std::vector<Tensor> stored_out;
    for (size_t i = 0; i < in.size(); ++i) stored_in.push_back({&inputs_[i], in[i].data});
    for (size_t i = 0; i < out.size(); ++i) stored_out.push_back({&outputs_[i], out[i].data});
    op_->run(stored_in, stored_out, context);
  }

 private:
  Types inputs_, outputs_;
  std::unique_ptr<Op> op_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_slice_split_pad_avx2(const NodeSpec& node) {
  const TensorType& x = *node.inputs[0];
  if (!path_available("avx2") || node.inputs.size() != 1 || x.shape.size() != 4 || info(x.dtype).bits < 8)
    return nullptr;
  return has_constant_image(node) ? nullptr : std::make_unique<OnStoredOrder>(node);
}

}  // namespace bittrue
