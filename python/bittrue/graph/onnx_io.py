"""Between `onnx.ModelProto` and `Graph`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from bittrue import __version__
from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.host_ops import HOST_DOMAIN
from bittrue.graph.ir import OPSET, Graph, Node, TensorType

DOMAIN = "bittrue"

_NAMES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
    TensorProto.INT16: "int16",
    TensorProto.UINT16: "uint16",
    TensorProto.INT32: "int32",
    TensorProto.UINT32: "uint32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "uint4",
}
_CODES = {name: code for code, name in _NAMES.items()}


def type_of(value: onnx.ValueInfoProto) -> TensorType | None:
    """The static type of a value, or None where a dimension or the element type is unknown."""
    tensor = value.type.tensor_type
    if tensor.elem_type not in _NAMES or not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    if any(not d.HasField("dim_value") for d in dims):
        return None
    return TensorType(_NAMES[tensor.elem_type], tuple(d.dim_value for d in dims))


def _attribute(a: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(a)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, onnx.SparseTensorProto):
        raise UnsupportedError(f"attribute '{a.name}' holds a sparse tensor")
    if a.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
        return list(value)
    if a.type == onnx.AttributeProto.STRINGS:
        return [v.decode() for v in value]
    return value


def from_onnx(model: onnx.ModelProto, weights: Mapping[str, np.ndarray[Any, Any]] | None = None) -> Graph:
    """A model with static shapes as a Graph; missing types are inferred.

    weights: of initializers without data, as `OnnxOutline.fill` gives them. Subgraphs stay as they are, for
    `fold_constants` to resolve. Raises DataError for missing types or inconsistent names.
    """
    if not any(o.domain == DOMAIN for o in model.opset_import):
        try:
            model = shape_inference.infer_shapes(model, data_prop=True)
        except Exception as e:  # the checker's errors have no common base
            raise DataError(f"shape inference failed: {e}") from e
    source = model.graph
    graph = Graph(source.name or "graph", opset=opset_of(model) or OPSET)
    for tensor in source.initializer:
        known_array = weights.get(tensor.name) if weights else None
        array = numpy_helper.to_array(tensor) if known_array is None else known_array
        graph.constants[tensor.name] = array
        graph.types[tensor.name] = TensorType(_NAMES.get(tensor.data_type, "?"), tuple(array.shape))
    for value in [*source.input, *source.value_info, *source.output]:
        known = type_of(value)
        if known is not None:
            graph.types.setdefault(value.name, known)
    graph.inputs = [v.name for v in source.input if v.name not in graph.constants]
    graph.outputs = [v.name for v in source.output]
    graph.nodes = [node_of(n, n.name or f"{n.op_type}_{i}") for i, n in enumerate(source.node)]
    return graph


def opset_of(model: onnx.ModelProto) -> int:
    """The opset of the ONNX ops, 0 where the model does not say."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def node_of(proto: onnx.NodeProto, name: str) -> Node:
    attrs = {a.name: _attribute(a) for a in proto.attribute}
    return Node(proto.op_type, name, list(proto.input), list(proto.output), attrs, proto.domain)


def _tensor(name: str, array: np.ndarray[Any, Any], dtype: str) -> onnx.TensorProto:
    if dtype in ("int4", "uint4"):
        return numpy_helper.from_array(array.astype(getattr(ml_dtypes, dtype)), name)
    return numpy_helper.from_array(array.copy(order="C"), name)


def expand_fused(node: Node) -> list[Node]:
    """The nodes that a node with fused or absorbed ones stands for."""
    if node.absorbed:
        return node.absorbed
    if not node.fused:
        return [node]
    head = Node(node.op, node.name, node.inputs, [node.fused[0].inputs[0], *node.outputs[1:]], node.attrs, node.domain)
    return [head, *node.fused]


def to_onnx(graph: Graph, extra_outputs: Sequence[str] = ()) -> onnx.ModelProto:
    """The graph as a model; fused activations become nodes again. `extra_outputs` are added to the graph outputs."""

    def value(name: str) -> onnx.ValueInfoProto:
        t = graph.types[name]
        return helper.make_tensor_value_info(name, _CODES[t.dtype], list(t.shape))

    nodes = [n for node in graph.nodes for n in expand_fused(node)]
    protos = []
    for n in nodes:
        # The bounds of Clip stand in its inputs too; as attributes they are only for readers of the graph.
        hidden = ("min", "max") if n.op == "Clip" and not n.domain else ()
        attrs = {
            k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v
            for k, v in n.attrs.items()
            if k not in hidden
        }
        proto = helper.make_node(n.op, n.inputs, n.outputs, n.name, domain=n.domain)
        for key in sorted(attrs):
            kind = None
            if isinstance(attrs[key], list) and not attrs[key]:
                kind = onnx.AttributeProto.INTS
            proto.attribute.append(helper.make_attribute(key, attrs[key], attr_type=kind))
        protos.append(proto)
    outputs = list(dict.fromkeys([*graph.outputs, *extra_outputs]))
    inner = [o for n in nodes for o in n.outputs if o and o in graph.types and o not in outputs]
    proto_graph = helper.make_graph(
        protos,
        graph.name,
        [value(n) for n in graph.inputs],
        [value(n) for n in outputs],
        [_tensor(n, a, graph.types[n].dtype) for n, a in graph.constants.items()],
        value_info=[value(n) for n in inner],
    )
    opsets = [helper.make_opsetid("", graph.opset)]
    opsets += [helper.make_opsetid(d, 1) for d in (DOMAIN, HOST_DOMAIN) if any(n.domain == d for n in nodes)]
    model = helper.make_model(proto_graph, opset_imports=opsets, producer_name="bittrue", producer_version=__version__)
    model.ir_version = 8 if not {t.dtype for t in graph.types.values()} & {"int4", "uint4"} else 10
    return model
