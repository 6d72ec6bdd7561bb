"""The range of every tensor: import of a calibration table, then the target's propagation passes.

Source of the rules: the Sophgo compiler's published import and propagation (evidence: source).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph, Node

SMALLEST = 1e-5
RESHAPES = {"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze"}
FORWARD = {
    "Relu", "Clip", "MaxPool", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Tile", "Pad", "Transpose",
    "LeakyRelu", "Abs", "PRelu", "Gather", "Expand", "Split", "DepthToSpace", "SpaceToDepth", "Identity",
}  # fmt: skip


class Threshold(Protocol):
    """A row of a calibration table."""

    threshold: float
    min: float


@dataclass(frozen=True)
class Range:
    """min and max after the import rules: max = threshold; min = -threshold, or 0 if never negative."""

    min: float
    max: float
    set_by: str = "table"

    @property
    def signed(self) -> bool:
        return self.min < 0

    @property
    def threshold(self) -> float:
        return max(abs(self.min), abs(self.max))


Ranges = dict[str, Range]


def import_ranges(graph: Graph, table: Mapping[str, Threshold]) -> Ranges:
    """Ranges of all float activations. Raises DataError that lists all tensors without a threshold."""
    names = [n for n in graph.activations() if graph.types[n].dtype == "float32"]
    table = _with_reshaped(graph, table)
    missing = [n for n in names if n not in table]
    if missing:
        raise DataError(f"no threshold for {len(missing)} tensor(s): {', '.join(missing)}")
    ranges: Ranges = {}
    for name in names:
        row = table[name]
        t = max(float(row.threshold), SMALLEST)
        if not np.isfinite(t):
            raise DataError(f"tensor '{name}': threshold {row.threshold}")
        ranges[name] = Range(-t if row.min < 0 else 0.0, t)
    for node in graph.nodes:
        out = node.outputs[0]
        if out not in ranges:
            continue
        r = ranges[out]
        if node.op in ("Sigmoid", "Softmax") and not node.fused:
            ranges[out] = Range(0.0, 1.0, "import")
        elif node.op == "Abs" and node.inputs[0] in ranges:
            t = ranges[node.inputs[0]].threshold
            ranges[node.inputs[0]] = Range(-t, t, "import")
        elif node.op == "Sub" and not node.fused:
            ranges[out] = replace(r, min=min(r.min, -SMALLEST), set_by="import")
        elif node.fused or node.op == "Relu":
            ranges[out] = replace(r, min=0.0)
    return ranges


def _with_reshaped(graph: Graph, table: Mapping[str, Threshold]) -> dict[str, Threshold]:
    """The table, and for tensors that are not in it the row of one with the same elements."""
    rows = dict(table)
    moves = [n for n in graph.nodes if n.op in RESHAPES]
    for nodes, source, target in ((moves, 0, 1), (moves[::-1], 1, 0)):
        for node in nodes:
            ends = (node.inputs[0], node.outputs[0])
            if ends[source] in rows:
                rows.setdefault(ends[target], rows[ends[source]])
    return rows


def _activations(node: Node, ranges: Ranges) -> list[str]:
    return [i for i in node.inputs if i in ranges]


def reshape_forward(graph: Graph, ranges: Ranges) -> None:
    """Reshape and Transpose outputs take the input's range."""
    for node in graph.nodes:
        if node.op in RESHAPES and node.inputs[0] in ranges:
            ranges[node.outputs[0]] = replace(ranges[node.inputs[0]], set_by="reshape_forward")


def signs(graph: Graph, ranges: Ranges) -> None:
    """Outputs of pools, Abs and additions are signed if and only if an input is."""
    for node in graph.nodes:
        out = node.outputs[0]
        inputs = _activations(node, ranges)
        if out not in ranges or not inputs or node.fused:
            continue
        r = ranges[out]
        if node.op in ("AveragePool", "MaxPool", "Abs"):
            if ranges[inputs[0]].signed and not r.signed:
                ranges[out] = Range(-0.1 * r.max, r.max, "signs")
            elif not ranges[inputs[0]].signed and r.signed:
                ranges[out] = Range(0.0, r.max, "signs")
        elif node.op in ("Add", "Sum") and r.signed and len(inputs) == len(node.inputs):
            if not any(ranges[i].signed for i in inputs):
                ranges[out] = Range(0.0, r.max, "signs")
        elif node.op == "Add" and len(inputs) < len(node.inputs):
            constants = [graph.constants[i] for i in node.inputs if i in graph.constants]
            if not r.signed and any(np.any(c < 0) for c in constants):
                ranges[out] = Range(-0.1 * r.max, r.max, "signs")


def mul_signs(graph: Graph, ranges: Ranges) -> None:
    """A product of two signed tensors, and a difference, are signed."""
    for node in graph.nodes:
        out, inputs = node.outputs[0], _activations(node, ranges)
        if out not in ranges or node.fused or ranges[out].signed:
            continue
        both = node.op == "Mul" and len(inputs) == 2 and all(ranges[i].signed for i in inputs)
        if (both and inputs[0] != inputs[1]) or node.op == "Sub":
            ranges[out] = Range(-0.1 * ranges[out].max, ranges[out].max, "mul_signs")


def concat_backward(graph: Graph, ranges: Ranges) -> None:
    """Concat, Min and Max put the output's range onto inputs that nothing else reads and that agree in sign."""
    readers = graph.consumers()
    for node in reversed(graph.nodes):
        inputs = _activations(node, ranges)
        if node.op not in ("Concat", "Min", "Max") or node.outputs[0] not in ranges or len(inputs) != len(node.inputs):
            continue
        alone = all(all(c is node or c.op == "MaxPool" for c in readers[i]) for i in inputs)
        agree = len({ranges[i].signed for i in inputs}) == 1
        if alone and agree:
            top = ranges[node.outputs[0]].threshold
            signed = ranges[inputs[0]].signed
            shared = Range(-top if signed else 0.0, top, "concat_backward")
            ranges[node.outputs[0]] = shared
            for i in inputs:
                ranges[i] = shared


def relu_backward(graph: Graph, ranges: Ranges) -> None:
    """Relu and MaxPool put their output's range onto an input that nothing else reads; PRelu keeps the input's min."""
    readers = graph.consumers()
    for node in reversed(graph.nodes):
        x, y = node.inputs[0] if node.inputs else "", node.outputs[0]
        if x not in ranges or y not in ranges or len(readers[x]) != 1 or node.fused:
            continue
        if node.op in ("Relu", "MaxPool", "DepthToSpace", "Abs"):
            ranges[x] = replace(ranges[y], set_by="relu_backward")
        elif node.op in ("PRelu", "LeakyRelu"):
            ranges[x] = Range(-ranges[y].max if ranges[x].signed else 0.0, ranges[y].max, "relu_backward")


def add_backward(graph: Graph, ranges: Ranges) -> None:
    """An Add whose inputs are all products read once puts its range onto them (BM1684X)."""
    producer, readers = graph.producer(), graph.consumers()
    for node in graph.nodes:
        inputs = _activations(node, ranges)
        if node.op != "Add" or len(inputs) != 2 or node.fused:
            continue
        sources = [producer.get(i) for i in inputs]
        if all(s is not None and s.op == "Mul" and not s.fused for s in sources) and all(
            len(readers[i]) == 1 for i in inputs
        ):
            for i in inputs:
                ranges[i] = replace(ranges[node.outputs[0]], set_by="add_backward")


def forward(graph: Graph, ranges: Ranges, more: Collection[str] = ()) -> None:
    """Ops that only move, select or keep values, and the ops named in `more`, take the input's range."""
    for node in graph.nodes:
        if not node.inputs or node.inputs[0] not in ranges or node.fused:
            continue
        moves = (
            node.op in FORWARD
            or node.op in more
            or (node.op == "Resize" and node.attrs.get("mode", "nearest") == "nearest")
        )
        if moves:
            for out in node.outputs:
                if out in ranges and ranges[node.inputs[0]] != ranges[out]:
                    keep = 0.0 if node.op == "Relu" else ranges[node.inputs[0]].min
                    ranges[out] = Range(keep, ranges[node.inputs[0]].max, "forward")


def forward_with_average_pool(graph: Graph, ranges: Ranges) -> None:
    """As `forward`; AveragePool too takes the input's range (BM1684 only)."""
    forward(graph, ranges, ("AveragePool",))


PASSES: dict[str, Callable[[Graph, Ranges], None]] = {
    "reshape_forward": reshape_forward,
    "signs": signs,
    "mul_signs": mul_signs,
    "concat_backward": concat_backward,
    "relu_backward": relu_backward,
    "add_backward": add_backward,
    "forward": forward,
    "forward_with_average_pool": forward_with_average_pool,
    "signs_again": signs,
}


def propagate(graph: Graph, ranges: Ranges, passes: Sequence[str], disabled: Collection[str] = ()) -> None:
    """Runs the named passes in order. Raises UsageError for unknown names."""
    for name in (*passes, *disabled):
        if name not in PASSES:
            raise UsageError(f"no propagation pass '{name}'; known: {', '.join(PASSES)}")
    for name in passes:
        if name not in disabled:
            PASSES[name](graph, ranges)
