"""Removes nodes that copy their input: Identity, Dropout, and casts, reshapes, transposes and pads without effect."""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph, Node

SHAPE_OPS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand"}


def _copies(graph: Graph, node: Node) -> bool:
    if node.op in ("Identity", "Dropout"):
        return True
    same = graph.types.get(node.inputs[0] if node.inputs else "") == graph.types.get(node.outputs[0])
    if not same:
        return False
    if node.op in SHAPE_OPS or node.op == "Cast":
        return True
    if node.op == "Transpose":
        perm = node.attrs.get("perm")
        return perm is not None and list(perm) == sorted(perm)
    if node.op == "Pad":
        pads = graph.constants.get(node.inputs[1])
        return pads is not None and not np.any(pads)
    return False


def eliminate_identity(graph: Graph) -> None:
    """Readers of a removed node read its input; graph outputs keep their names where the producer can take them."""
    alias: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [alias.get(i, i) for i in node.inputs]
        if _copies(graph, node) and node.outputs[0] not in graph.outputs:
            alias[node.outputs[0]] = node.inputs[0]
        else:
            kept.append(node)
    graph.nodes = kept
