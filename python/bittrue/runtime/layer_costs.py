"""What each layer of a network costs: operations, bytes, and how long the simulator took for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, replace

from bittrue.audit.layers import multiplications
from bittrue.graph.ir import Graph, Node

# op of the quantized graph -> the ONNX op whose multiplications it makes
SUMS = {
    "Conv2d": "Conv", "FloatConv2d": "Conv", "ConvTranspose2d": "ConvTranspose",
    "FloatConvTranspose2d": "ConvTranspose", "MatMul": "MatMul", "FloatMatMul": "MatMul",
}  # fmt: skip


@dataclass(frozen=True)
class LayerCost:
    """macs: multiplications with additions. *_bytes: of tensors. microseconds: of the simulator, not of the chip."""

    layer: str
    op: str
    output_shape: str
    macs: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int
    microseconds: float


def layer_costs(graph: Graph, seconds: Mapping[str, float]) -> list[LayerCost]:
    """One row a layer of a quantized graph. seconds: by layer, as `Session.node_seconds`."""
    return [_cost(graph, node, seconds.get(node.name, 0.0)) for node in graph.nodes]


def _cost(graph: Graph, node: Node, seconds: float) -> LayerCost:
    constants = [i for i in node.inputs if i in graph.constants]
    inputs = [i for i in node.inputs if i and i not in graph.constants]
    outputs = [o for o in node.outputs if o]
    return LayerCost(
        node.name,
        node.op,
        "x".join(map(str, graph.types[outputs[0]].shape)),
        multiplications(graph, replace(node, op=SUMS[node.op])) if node.op in SUMS else 0,
        sum(graph.types[i].bytes for i in inputs),
        sum(graph.types[c].bytes for c in constants),
        sum(graph.types[o].bytes for o in outputs),
        round(seconds * 1e6, 1),
    )


def as_csv(costs: list[LayerCost]) -> str:
    """A table with a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([f.name for f in fields(LayerCost)])
    writer.writerows(astuple(c) for c in costs)
    return text.getvalue()


def total(costs: list[LayerCost]) -> str:
    """The sums in words."""
    macs, weights = sum(c.macs for c in costs), sum(c.weight_bytes for c in costs)
    moved = sum(c.input_bytes + c.output_bytes for c in costs)
    milliseconds = sum(c.microseconds for c in costs) / 1e3
    return (
        f"{len(costs)} layers, {macs / 1e6:.1f} million multiply-accumulates, {weights} bytes of weights, "
        f"{moved} bytes read and written, {milliseconds:.1f} ms in the simulator"
    )
