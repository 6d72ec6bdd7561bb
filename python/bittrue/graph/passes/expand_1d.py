"""Convolutions and pools over (N,C,L) become two-dimensional ones over (N,C,1,L) between reshapes.

Runs after the fusions. A tensor that only such windows read becomes two-dimensional itself and keeps its name.
"""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.passes.canonical import WINDOW_OPS


def _wide(t: TensorType) -> TensorType:
    return TensorType(t.dtype, (*t.shape[:2], 1, t.shape[2]))


def _reshape(graph: Graph, source: str, target: str, name: str) -> Node:
    shape = graph.add_constant(f"{name}/shape", np.asarray(graph.types[target].shape, np.int64))
    return Node("Reshape", name, [source, shape], [target])


def _widened(graph: Graph, tensor: str) -> str:
    """A new two-dimensional tensor beside a one-dimensional one."""
    name = graph.unique_name(f"{tensor}/2d")
    graph.types[name] = _wide(graph.types[tensor])
    return name


def _window(graph: Graph, node: Node, inner: set[str]) -> list[Node]:
    before, after = [], []
    x, y = node.inputs[0], node.outputs[0]
    if x not in inner:
        x = _widened(graph, x)
        before.append(_reshape(graph, node.inputs[0], x, f"{node.name}/expand"))
    inputs = [x, *node.inputs[1:]]
    if y not in inner:
        y = _widened(graph, y)
        after.append(_reshape(graph, y, node.outputs[0], f"{node.name}/collapse"))
    if node.op in ("Conv", "ConvTranspose"):
        w = graph.constants.get(node.inputs[1])
        if w is not None:
            inputs[1] = graph.add_constant(f"{node.inputs[1]}/2d", w[:, :, None, :])
        else:
            inputs[1] = _widened(graph, node.inputs[1])
            before.append(_reshape(graph, node.inputs[1], inputs[1], f"{node.name}/expand_weight"))
    pads = node.attrs["pads"]
    attrs = dict(node.attrs) | {"pads": [0, pads[0], 0, pads[1]]}
    for key, one in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("output_padding", 0)):
        if key in attrs:
            attrs[key] = [one, *attrs[key]]
    fused = []
    for f in node.fused:  # at most one: it reads the result of the window and writes that of the node
        inside = f.inputs[0]
        graph.types[inside] = _wide(graph.types[inside])
        fused.append(Node(f.op, f.name, list(f.inputs), [y], f.attrs))
    return [*before, Node(node.op, node.name, inputs, [y, *node.outputs[1:]], attrs, fused=fused), *after]


def expand_1d(graph: Graph) -> None:
    windows = [n for n in graph.nodes if n.op in WINDOW_OPS and len(graph.types[n.inputs[0]].shape) == 3]
    expanded = {id(n) for n in windows}
    readers = graph.consumers()
    inner = {
        n.outputs[0]
        for n in windows
        if n.outputs[0] not in graph.outputs
        and all(id(r) in expanded and r.inputs.count(n.outputs[0]) == 1 for r in readers.get(n.outputs[0], []))
        and all(r.inputs[0] == n.outputs[0] for r in readers.get(n.outputs[0], []))
    }
    for name in inner:
        graph.types[name] = _wide(graph.types[name])
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.extend(_window(graph, node, inner) if id(node) in expanded else [node])
    graph.nodes = nodes
