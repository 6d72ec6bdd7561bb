"""Computes nodes whose inputs are constants, and `Shape` of tensors with known shapes, with ONNX's reference evaluator.

Runs node by node together with shape inference, so that chains of shape arithmetic disappear. An `If` whose condition
becomes known that way is replaced by the branch it takes.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.host_ops import HOST_DOMAIN
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.passes.inline_if import Names, inline_if
from bittrue.graph.types import infer_types

CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}  # only If is resolved


def _evaluate(graph: Graph, node: Node) -> list[np.ndarray]:
    proto = helper.make_node(node.op, node.inputs, node.outputs, node.name)
    for key, value in node.attrs.items():
        if isinstance(value, np.ndarray):
            value = onnx.numpy_helper.from_array(value)
        proto.attribute.append(helper.make_attribute(key, value))
    feeds = {i: graph.constants[i] for i in node.inputs if i}
    inputs = [
        helper.make_tensor_value_info(i, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for i, a in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=o) for o in node.outputs]
    model = helper.make_model(
        helper.make_graph([proto], "fold", inputs, outputs), opset_imports=[helper.make_opsetid("", graph.opset)]
    )
    try:
        evaluator = ReferenceEvaluator(model)
    except RuntimeError:  # no implementation of that version of the op
        model.ir_version = 8
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return [np.asarray(v) for v in session.run(None, feeds)]
    return [np.asarray(v) for v in evaluator.run(None, feeds)]


def fold_constants(graph: Graph) -> None:
    """See the module. Raises DataError where a type cannot be inferred, UnsupportedError for control flow."""
    tensors = set(graph.types) | {o for n in graph.nodes for o in n.outputs}
    names = Names(tensors, {n.name for n in graph.nodes})
    for _ in range(100):
        changed = False
        kept = []
        for node in graph.nodes:
            if node.op in CONTROL_FLOW:
                branch = inline_if(graph, node, names) if node.op == "If" else None
                kept.extend([node] if branch is None else branch)
                changed = changed or branch is not None
                continue
            result: list[np.ndarray] | None = None
            if node.op == "Constant" and "value" in node.attrs:
                result = [np.asarray(node.attrs["value"])]
            elif node.op == "Shape" and node.inputs[0] in graph.types:
                shape = graph.types[node.inputs[0]].shape[node.attrs.get("start", 0) : node.attrs.get("end")]
                result = [np.asarray(shape, np.int64)]
            elif (
                all(i in graph.constants or not i for i in node.inputs)
                and not node.op.startswith("Random")
                and node.domain != HOST_DOMAIN
            ):
                try:
                    result = _evaluate(graph, node)
                except Exception as e:  # the evaluator raises whatever numpy raises
                    raise DataError(f"node '{node.name}' ({node.op}) cannot be folded: {e}") from e
            if result is None:
                kept.append(node)
                continue
            changed = True
            for name, value in zip(node.outputs, result, strict=False):
                if name:
                    graph.constants[name] = value
                    graph.types[name] = TensorType(value.dtype.name, tuple(value.shape))
        graph.nodes = kept
        infer_types(graph)
        if not changed:
            break
    flow = [n for n in graph.nodes if n.op in CONTROL_FLOW]
    if flow:
        what = "; ".join(f"node '{n.name}' ({n.op})" for n in flow)
        raise UnsupportedError(f"control flow that depends on the input data: {what}")
    read = {i for n in graph.nodes for i in n.inputs} | set(graph.outputs)
    for node in graph.nodes:
        node.outputs[1:] = [o if o in read or o in graph.types else "" for o in node.outputs[1:]]
        for o in node.outputs:
            if o and o not in graph.types:
                raise DataError(f"node '{node.name}' ({node.op}): the shape of '{o}' cannot be inferred")
