"""Makes the exact sums of a quantized graph visible.

For every node with an integer sum two twins are added: one without output stage, whose output is the sum, and one
without clamp, whose output is the value that the clamp takes. Both run on the fast kernels of the core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bittrue.audit.bounds import SUMS, Interval, SumBound, intermediate_range, sum_bound, value_ranges
from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.ops.arithmetic import INT_RANGES
from bittrue.ops.registry import STAGE

CLAMP = ("clamp_min", "clamp_max")
SCALING = {"ChannelScale": ("intermediate_min", "intermediate_max", "shift", "rounding", "wrap_bits", "wrap_unsigned")}


@dataclass(frozen=True)
class Probe:
    """One accumulator of a graph.

    node: the node as it runs. part: which of its sums, "" for the one its output stage takes. sums: the tensor of its
    exact sums, int32 or int64. unclamped: the tensor of the values before the clamp, None for sums inside a node.
    axis: of the channels, None where there are none. limit: what the accumulator or the intermediate value holds
    without loss, None where the rule is exact.
    """

    node: Node
    part: str
    sums: str
    unclamped: str | None
    axis: int | None
    limit: Interval | None
    bound: SumBound


def with_probes(graph: Graph) -> tuple[Graph, list[Probe]]:
    """A graph that also computes the sums, and where they are. Constants are shared with the given graph.

    Raises UnsupportedError for a node whose sums have no known bound.
    """
    twin = Graph(graph.name, [], list(graph.inputs), list(graph.outputs), graph.constants, dict(graph.types))
    ranges = value_ranges(graph)
    probes: list[Probe] = []
    for node in graph.nodes:
        twin.nodes.append(node)
        if node.op not in SUMS:
            continue
        if node.op == "Add" and node.attrs.get("saturate_each", 0):
            for count in range(2, len(node.inputs)):
                start = Node(node.op, node.name, node.inputs[:count], node.outputs, _first(node, count))
                probes.append(_probe(twin, start, f"sum of {count}", intermediate_range(node), ranges))
        probes.append(_probe(twin, node, "", _limit(node), ranges))
    return twin, probes


def _first(node: Node, count: int) -> dict[str, object]:
    """Attributes of an Add of the first `count` operands only."""
    return {
        key: value[:count] if isinstance(value, list) and len(value) > 1 else value
        for key, value in node.attrs.items()
    }  # fmt: skip


def _limit(node: Node) -> Interval | None:
    if node.op == "ChannelScale":
        return intermediate_range(node)
    return None if node.attrs.get("acc", "exact64") == "exact64" else INT_RANGES["int32"]


def _probe(graph: Graph, node: Node, part: str, limit: Interval | None, ranges: dict[str, Interval]) -> Probe:
    try:
        bound = sum_bound(node, graph, ranges)
    except KeyError as e:
        raise UnsupportedError(f"node '{node.name}' ({node.op}): no bound of its sums ({e})") from e
    narrow = INT_RANGES["int32"][0] <= bound.low.min() and bound.high.max() <= INT_RANGES["int32"][1]
    shape = graph.types[node.outputs[0]].shape
    if part:
        shape = np.broadcast_shapes(*(graph.types[i].shape for i in node.inputs))
    if node.op == "ChannelScale" and not narrow:
        raise UnsupportedError(f"node '{node.name}' (ChannelScale): its products need more than 32 bits")
    stage = (*SCALING.get(node.op, STAGE), *CLAMP)
    sums = _twin(graph, node, part or "sum", stage, TensorType("int32" if narrow else "int64", shape))
    unclamped = None
    if not part and not set(node.attrs) & set(stage) - set(CLAMP):
        unclamped = sums  # nothing lies between the sum and the clamp
    elif not part:
        wide = "int64" if graph.types[node.outputs[0]].dtype in ("int32", "int64") else "int32"
        unclamped = _twin(graph, node, "unclamped", CLAMP, TensorType(wide, shape))
    return Probe(node, part, sums, unclamped, _channel_axis(node, len(shape)), limit, bound)


def _twin(graph: Graph, node: Node, suffix: str, without: tuple[str, ...], type_: TensorType) -> str:
    """Adds a copy of a node without some attributes and returns the name of its output."""
    tensor = graph.unique_name(f"{node.name}/{suffix}")
    graph.types[tensor] = type_
    attrs = {k: v for k, v in node.attrs.items() if k not in without}
    graph.nodes.append(Node(node.op, tensor, node.inputs, [tensor], attrs, node.domain))
    return tensor


def _channel_axis(node: Node, rank: int) -> int | None:
    if node.op == "Requantize":
        return int(node.attrs.get("axis", 1))
    if rank < 2:
        return None
    return rank - 1 if node.op == "MatMul" else 1
