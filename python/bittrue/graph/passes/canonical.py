"""Spells attributes out: pads instead of auto_pad, strides, dilations, group; Clip bounds as attributes; global pools
as pools over the whole input; Sum as a chain of Add only where it has one input (kept otherwise)."""

from __future__ import annotations

import math

from bittrue.graph.ir import Graph, Node

WINDOW_OPS = {"Conv", "ConvTranspose", "MaxPool", "AveragePool"}


def _window(graph: Graph, node: Node) -> None:
    attrs = node.attrs
    x, y = graph.types[node.inputs[0]].shape, graph.types[node.outputs[0]].shape
    rank = len(x) - 2
    if node.op in ("Conv", "ConvTranspose"):
        attrs["kernel_shape"] = list(graph.types[node.inputs[1]].shape[2:])
        attrs.setdefault("group", 1)
    attrs.setdefault("strides", [1] * rank)
    if node.op != "AveragePool":  # has none before opset 19
        attrs.setdefault("dilations", [1] * rank)
    auto = attrs.pop("auto_pad", "NOTSET")
    if auto == "VALID":
        attrs["pads"] = [0] * (2 * rank)
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        begins, ends = [], []
        for d in range(rank):
            s, extent = attrs["strides"][d], (attrs["kernel_shape"][d] - 1) * attrs.get("dilations", [1] * rank)[d] + 1
            if node.op == "ConvTranspose":
                extra = attrs.get("output_padding", [0] * rank)[d]
                total = max(0, s * (x[2 + d] - 1) + extra + extent - y[2 + d])
            else:
                total = max(0, (math.ceil(x[2 + d] / s) - 1) * s + extent - x[2 + d])
            small = total // 2
            begins.append(small if auto == "SAME_UPPER" else total - small)
            ends.append(total - begins[-1])
        attrs["pads"] = begins + ends
    attrs.setdefault("pads", [0] * (2 * rank))
    if node.op == "ConvTranspose":
        attrs.setdefault("output_padding", [0] * rank)


def canonical(graph: Graph) -> None:
    for node in graph.nodes:
        if node.op in ("GlobalAveragePool", "GlobalMaxPool"):
            kernel = list(graph.types[node.inputs[0]].shape[2:])
            node.op = node.op.removeprefix("Global")
            node.attrs = {"kernel_shape": kernel}
        if node.op in WINDOW_OPS:
            _window(graph, node)
        elif node.op == "Clip":
            for position, key in ((1, "min"), (2, "max")):
                if len(node.inputs) > position and node.inputs[position] in graph.constants:
                    node.attrs[key] = float(graph.constants[node.inputs[position]])
