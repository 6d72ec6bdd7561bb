"""Convolutions and pools over (N,C,L) become two-dimensional ones over (N,C,1,L) between reshapes."""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.passes.canonical import WINDOW_OPS


def expand_1d(graph: Graph) -> None:
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op not in WINDOW_OPS or len(graph.types[node.inputs[0]].shape) != 3:
            nodes.append(node)
            continue

        def reshape(source: str, target: str, name: str) -> Node:
            shape = graph.add_constant(f"{name}/shape", np.asarray(graph.types[target].shape, np.int64))
            return Node("Reshape", name, [source, shape], [target])

        def widened(tensor: str) -> str:
            t = graph.types[tensor]
            name = graph.unique_name(f"{tensor}/2d")
            graph.types[name] = TensorType(t.dtype, (*t.shape[:2], 1, t.shape[2]))
            return name

        x, y = widened(node.inputs[0]), widened(node.outputs[0])
        inputs = [x, *node.inputs[1:]]
        if node.op in ("Conv", "ConvTranspose"):
            w = graph.constants.get(node.inputs[1])
            if w is not None:
                inputs[1] = graph.add_constant(f"{node.inputs[1]}/2d", w[:, :, None, :])
            else:
                inputs[1] = widened(node.inputs[1])
                nodes.append(reshape(node.inputs[1], inputs[1], f"{node.name}/expand_weight"))
        pads = node.attrs["pads"]
        attrs = dict(node.attrs) | {"pads": [0, pads[0], 0, pads[1]]}
        for key, one in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("output_padding", 0)):
            if key in attrs:
                attrs[key] = [one, *attrs[key]]
        nodes.append(reshape(node.inputs[0], x, f"{node.name}/expand"))
        nodes.append(Node(node.op, node.name, inputs, [y, *node.outputs[1:]], attrs))
        nodes.append(reshape(y, node.outputs[0], f"{node.name}/collapse"))
    graph.nodes = nodes
