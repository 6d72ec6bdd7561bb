"""Padding of convolutions with another value than zero, as a Pad of its own before them."""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph, Node, TensorType


def pad_with(graph: Graph, value: float) -> int:
    """Puts a Pad with this value before every convolution that pads; returns how many there are."""
    nodes: list[Node] = []
    count = 0
    for node in graph.nodes:
        pads = list(node.attrs.get("pads", [])) if node.op == "Conv" else []
        if any(pads):
            count += 1
            source = graph.types[node.inputs[0]]
            half = len(pads) // 2
            grown = [d + b + a for d, b, a in zip(source.shape[2:], pads[:half], pads[half:], strict=True)]
            padded = graph.unique_name(f"{node.inputs[0]}/{node.name}/padded")
            graph.types[padded] = TensorType(source.dtype, (*source.shape[:2], *grown))
            edges = np.asarray([0, 0, *pads[:half], 0, 0, *pads[half:]], np.int64)
            inputs = [
                node.inputs[0],
                graph.add_constant(f"{node.name}/pads", edges),
                graph.add_constant(f"{node.name}/pad_value", np.asarray(value, np.float32)),
            ]
            nodes.append(Node("Pad", f"{node.name}/pad", inputs, [padded], {"mode": "constant"}))
            node.inputs[0] = padded
            node.attrs["pads"] = [0] * len(pads)
        nodes.append(node)
    graph.nodes = nodes
    return count
