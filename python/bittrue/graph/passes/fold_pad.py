"""A constant zero Pad of the spatial axes in front of a Conv joins the convolution's padding."""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph


def fold_pad(graph: Graph) -> None:
    producer, consumers = graph.producer(), graph.consumers()
    for node in graph.nodes:
        pad = producer.get(node.inputs[0]) if node.inputs else None
        if node.op != "Conv" or pad is None or pad.op != "Pad" or pad.attrs.get("mode", "constant") != "constant":
            continue
        if len(consumers[node.inputs[0]]) != 1 or node.inputs[0] in graph.outputs or len(pad.inputs) > 3:
            continue
        amounts = graph.constants.get(pad.inputs[1])
        value = graph.constants.get(pad.inputs[2]) if len(pad.inputs) > 2 and pad.inputs[2] else np.zeros(())
        if (
            amounts is None
            or value is None
            or amounts.size != len(node.attrs["pads"]) + 4
            or np.any(value)
            or np.any(amounts < 0)
        ):
            continue
        begins, ends = np.split(amounts, 2)
        if np.any(begins[:2]) or np.any(ends[:2]):
            continue
        extra = [int(v) for v in (*begins[2:], *ends[2:])]
        node.attrs["pads"] = [p + e for p, e in zip(node.attrs["pads"], extra, strict=True)]
        node.inputs = [pad.inputs[0], *node.inputs[1:]]
