"""The branch of an `If` with a known condition, as nodes of the graph around it.

The results take the names that the `If` gives them; tensors of the branch keep their names where those are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.onnx_io import node_of


@dataclass
class Names:
    """The names of all tensors and nodes, those under construction included."""

    tensors: set[str]
    nodes: set[str]


def inline_if(graph: Graph, node: Node, taken: Names) -> list[Node] | None:
    """The nodes that replace an `If`, or None while its condition is unknown.

    Adds the constants of the branch to the graph, and its names to `taken`.
    """
    condition = graph.constants.get(node.inputs[0])
    if condition is None:
        return None
    branch: onnx.GraphProto = node.attrs["then_branch" if bool(np.all(condition)) else "else_branch"]
    foreign = sorted({f"{n.domain}.{n.op_type}" for n in branch.node if n.domain not in ("", "ai.onnx")})
    if foreign:
        raise UnsupportedError(f"node '{node.name}' (If): operators outside ONNX: {', '.join(foreign)}")
    written = {o for n in branch.node for o in n.output if o}
    names: dict[str, str] = {}
    for inner, outer in zip((o.name for o in branch.output), node.outputs, strict=True):
        if inner in written:
            names.setdefault(inner, outer)
    for inner in [*(t.name for t in branch.initializer), *(o for n in branch.node for o in n.output)]:
        if inner and inner not in names:
            names[inner] = _free(inner, node.name, taken.tensors)
    for tensor in branch.initializer:
        value = numpy_helper.to_array(tensor)
        graph.constants[names[tensor.name]] = value
        graph.types[names[tensor.name]] = TensorType(value.dtype.name, tuple(value.shape))
    nodes = []
    for i, proto in enumerate(branch.node):
        renamed = _renamed(proto, names)
        name = proto.name or f"{node.name}/{proto.op_type}_{i}"
        nodes.append(node_of(renamed, _free(name, node.name, taken.nodes)))
    for inner, outer in zip((o.name for o in branch.output), node.outputs, strict=True):
        if outer and names.get(inner, inner) != outer:
            nodes.append(Node("Identity", f"{outer}/copy", [names.get(inner, inner)], [outer]))
    return nodes


def _free(name: str, prefix: str, taken: set[str]) -> str:
    """The name, or one under a prefix where it is taken; takes it."""
    base, found, i = f"{prefix}/{name}", name, 0
    while found in taken:
        found = f"{base}_{i}" if i else base
        i += 1
    taken.add(found)
    return found


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy with other tensor names, also where subgraphs read them."""
    result = onnx.NodeProto()
    result.CopyFrom(node)
    for values in (result.input, result.output):
        for i, name in enumerate(values):
            values[i] = names.get(name, name)
    for a in result.attribute:
        if a.type == onnx.AttributeProto.GRAPH:
            _rename_captured(a.g, names)
    return result


def _rename_captured(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    own = {v.name for v in [*graph.input, *graph.initializer]} | {o for n in graph.node for o in n.output}
    outer = {k: v for k, v in names.items() if k not in own}
    for i, node in enumerate(graph.node):
        graph.node[i].CopyFrom(_renamed(node, outer))
    for value in graph.output:
        value.name = outer.get(value.name, value.name)
