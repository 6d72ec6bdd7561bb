"""A convolution as several, each with the output channels whose weights have about the same range, so that a chip with
one shift for a layer gives every range its own.

Channels whose largest weight lies in the same power of two below the layer's largest form a group, at most four of
them. Evidence: the vendor documents that channels are sorted by range and split; where, is assumed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bittrue.graph.ir import Graph, Node, TensorType

Array = np.ndarray[Any, Any]
GROUPS = 4


def channel_groups(weight: Array) -> list[Array]:
    """Output channels (axis 0) by falling range; one group if all lie within a power of two."""
    ranges = np.abs(weight).max(tuple(range(1, weight.ndim))).astype(np.float64)
    top = ranges.max(initial=0.0)
    if top == 0:
        return [np.arange(len(weight))]
    below = np.where(ranges > 0, np.floor(np.log2(top / np.where(ranges > 0, ranges, top))), GROUPS - 1)
    classes = np.minimum(below, GROUPS - 1).astype(np.int64)
    return [np.flatnonzero(classes == k) for k in np.unique(classes)]


def group_channels(graph: Graph) -> int:
    """Splits convolutions in place; returns how many were split. Those with groups already stay as they are."""
    nodes: list[Node] = []
    split = 0
    for node in graph.nodes:
        weight = graph.constants.get(node.inputs[1]) if node.op == "Conv" else None
        biases = [graph.constants.get(i) for i in node.inputs[2:] if i]
        alone = weight is not None and node.attrs.get("group", 1) == 1 and all(b is not None for b in biases)
        groups = channel_groups(weight) if weight is not None and alone else []
        if len(groups) < 2:
            nodes.append(node)
            continue
        split += 1
        parts = [_part(graph, node, k, channels) for k, channels in enumerate(groups)]
        nodes += [*parts, *_joined(graph, node, [p.outputs[0] for p in parts], groups)]
    graph.nodes = nodes
    return split


def _part(graph: Graph, node: Node, k: int, channels: Array) -> Node:
    """The convolution of some output channels, with its fused activations."""

    def constant(name: str) -> str:
        return graph.add_constant(f"{name}/group{k}", graph.constants[name][channels]) if name else name

    def tensor(name: str) -> str:
        unique = graph.unique_name(f"{name}/group{k}")
        shape = graph.types[node.outputs[0]].shape
        graph.types[unique] = TensorType("float32", (shape[0], len(channels), *shape[2:]))
        return unique

    inputs = [node.inputs[0], *(constant(i) for i in node.inputs[1:])]
    part = Node("Conv", f"{node.name}/group{k}", inputs, [], dict(node.attrs), node.domain)
    current = tensor(node.fused[0].inputs[0] if node.fused else node.outputs[0])
    for f in node.fused:
        result = tensor(f.outputs[0])
        rest = [constant(i) if _per_channel(graph, i, node) else i for i in f.inputs[1:]]
        name = f"{f.name}/group{k}"
        part.fused.append(replace(f, name=name, inputs=[current, *rest], outputs=[result], attrs=dict(f.attrs)))
        current = result
    part.outputs = [current]
    return part


def _per_channel(graph: Graph, name: str, node: Node) -> bool:
    """Whether a constant has one entry for every channel of the convolution (slopes of PRelu)."""
    value = graph.constants.get(name)
    return value is not None and value.ndim > 0 and value.shape[0] == graph.types[node.outputs[0]].shape[1] > 1


def _joined(graph: Graph, node: Node, parts: list[str], groups: list[Array]) -> list[Node]:
    """Concat of the parts, and Gather that puts the channels back in order."""
    order = np.argsort(np.concatenate(groups)).astype(np.int64)
    joined = graph.unique_name(f"{node.outputs[0]}/groups")
    graph.types[joined] = graph.types[node.outputs[0]]
    index = graph.add_constant(f"{node.name}/order", order)
    return [
        Node("Concat", f"{node.name}/concat", parts, [joined], {"axis": 1}),
        Node("Gather", node.name, [joined, index], list(node.outputs), {"axis": 1}),
    ]
