"""What the integers of a quantized graph can reach at most: value ranges of tensors, and exact sums from the weights.

Both are proofs, not measurements: no input of the network leaves them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.graph.ir import Graph, Node
from bittrue.ops import OPS
from bittrue.ops.arithmetic import INT_RANGES, input_stage

Array = np.ndarray[Any, Any]
Interval = tuple[int, int]

# Their output holds values of their first input and nothing else.
KEEPING = {"Slice", "Split", "Transpose", "Reshape", "Gather", "Tile", "Expand", "Resize"}
LARGEST_LISTED = 1 << 16  # an input stage is evaluated on every code of types up to 16 bits


def value_ranges(graph: Graph) -> dict[str, Interval]:
    """Tensor name -> smallest and largest value it can hold, for all integer tensors."""
    known: dict[str, Interval] = {}
    for name, array in graph.constants.items():
        if graph.types[name].dtype in INT_RANGES and array.size:
            values = array.astype(np.int64)  # the 4-bit types have no order of their own
            known[name] = (int(values.min()), int(values.max()))
    for name in graph.inputs:
        if graph.types[name].dtype in INT_RANGES:
            known[name] = INT_RANGES[graph.types[name].dtype]
    for node in graph.nodes:
        for output in node.outputs:
            if output and graph.types[output].dtype in INT_RANGES:
                known[output] = _output_range(node, graph, known, INT_RANGES[graph.types[output].dtype])
    return known


def _output_range(node: Node, graph: Graph, known: Mapping[str, Interval], whole: Interval) -> Interval:
    x = known.get(node.inputs[0]) if node.inputs else None
    if node.op in KEEPING and x:
        return x
    if node.op == "Pad" and x and node.attrs.get("mode", "constant") == "constant":
        value = int(node.attrs.get("value", 0))
        return min(x[0], value), max(x[1], value)
    if node.op == "Lookup" and x and node.inputs[1] in graph.constants:
        codes = np.arange(x[0], x[1] + 1).astype(np.uint8)
        entries = graph.constants[node.inputs[1]][codes]
        return int(entries.min()), int(entries.max())
    if node.op not in OPS or "clamp_max" not in OPS[node.op].attributes:
        return whole
    low, high = int(node.attrs.get("clamp_min", whole[0])), int(node.attrs.get("clamp_max", whole[1]))
    plain = node.attrs.get("requant", "none") == "none" and not node.attrs.get("zero_point", 0)
    if node.op in ("MaxPool2d", "Clip") and x and plain:
        return min(max(x[0], low), high), min(max(x[1], low), high)
    return low, high


@dataclass(frozen=True)
class SumBound:
    """Smallest and largest exact sum of a node, Python integers in object arrays: one entry, or one per channel."""

    low: Array
    high: Array

    @staticmethod
    def of(low: int, high: int) -> SumBound:
        return SumBound(np.array([low], object), np.array([high], object))


def sum_bound(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    """The worst case of the exact sum that the node's output stage takes, before any accumulator rule.

    ranges: of `value_ranges`. Raises KeyError for an op that is not in `SUMS`.
    """
    return SUMS[node.op](node, graph, ranges)


def _product(a: Interval, b: Interval) -> Interval:
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def _moved(x: Interval, zero_point: int) -> Interval:
    return x[0] - zero_point, x[1] - zero_point


def _with_zero(x: Interval) -> Interval:
    """The range of a tap that may lie in the padding, where it adds nothing."""
    return min(x[0], 0), max(x[1], 0)


def _bias(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> tuple[Any, Any]:
    if len(node.inputs) < 3 or not node.inputs[2]:
        return 0, 0
    name = node.inputs[2]
    if name in graph.constants:
        values = graph.constants[name].astype(np.int64).astype(object).ravel()
        return values, values
    return ranges[name]


def _weighted(by_channel: Array, x: Interval) -> SumBound:
    """Sums over the last axis of (channels, taps) int64 weights times values in x."""
    up = np.maximum(by_channel, 0).sum(-1).astype(object)
    down = np.minimum(by_channel, 0).sum(-1).astype(object)
    return SumBound(up * x[0] + down * x[1], up * x[1] + down * x[0])


def _dynamic(count: int, x: Interval, w: Interval) -> SumBound:
    low, high = _product(x, w)
    return SumBound.of(count * low, count * high)


def _plus(bound: SumBound, bias: tuple[Any, Any]) -> SumBound:
    return SumBound(bound.low + bias[0], bound.high + bias[1])


def _zero_points(node: Node, key: str, channels: int) -> Array:
    return np.broadcast_to(np.asarray(node.attrs.get(key, [0]), np.int64), (channels,))


def _conv(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    x = _with_zero(_moved(ranges[node.inputs[0]], node.attrs.get("x_zero_point", 0)))
    name = node.inputs[1]
    channels, *taps = graph.types[name].shape
    zero = _zero_points(node, "w_zero_point", channels)
    if name in graph.constants:
        w = graph.constants[name].astype(np.int64).reshape(channels, -1) - zero[:, None]
        bound = _weighted(w, x)
    else:
        low, high = ranges[name]
        bound = _dynamic(int(np.prod(taps)), x, (low - int(zero.max()), high - int(zero.min())))
    return _plus(bound, _bias(node, graph, ranges))


def _conv_transpose(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    """An output element sees the taps of one phase of the stride only."""
    x = _with_zero(_moved(ranges[node.inputs[0]], node.attrs.get("x_zero_point", 0)))
    name, group = node.inputs[1], node.attrs.get("group", 1)
    c, per_group, kh, kw = graph.types[name].shape
    zero = _zero_points(node, "w_zero_point", group * per_group)
    (sh, sw), (dh, dw) = node.attrs.get("strides", [1, 1]), node.attrs.get("dilations", [1, 1])
    phases: dict[tuple[int, int], list[int]] = {}
    for i in range(kh):
        for j in range(kw):
            phases.setdefault((i * dh % sh, j * dw % sw), []).append(i * kw + j)
    if name in graph.constants:
        w = graph.constants[name].astype(np.int64).reshape(group, c // group, per_group, kh * kw)
        w = w.transpose(0, 2, 1, 3).reshape(group * per_group, c // group, kh * kw) - zero[:, None, None]
        bounds = [_weighted(w[:, :, taps].reshape(len(w), -1), x) for taps in phases.values()]
    else:
        low, high = ranges[name]
        between = (low - int(zero.max()), high - int(zero.min()))
        bounds = [_dynamic(c // group * len(taps), x, between) for taps in phases.values()]
    bound = SumBound(np.min([b.low for b in bounds], 0), np.max([b.high for b in bounds], 0))
    return _plus(bound, _bias(node, graph, ranges))


def _matmul(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    a = _moved(ranges[node.inputs[0]], node.attrs.get("a_zero_point", 0))
    name = node.inputs[1]
    k, n = graph.types[name].shape[-2:]
    zero = _zero_points(node, "b_zero_point", n)
    if name in graph.constants:
        w = (graph.constants[name].astype(np.int64) - zero).reshape(-1, k, n)
        each = _weighted(w.transpose(0, 2, 1), a)  # (matrices, n)
        bound = SumBound(each.low.min(0), each.high.max(0))
    else:
        low, high = ranges[name]
        bound = _dynamic(k, a, (low - int(zero.max()), high - int(zero.min())))
    return _plus(bound, _bias(node, graph, ranges))


def _average(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    x = _with_zero(_moved(ranges[node.inputs[0]], node.attrs.get("x_zero_point", 0)))
    taps = int(np.prod(node.attrs["kernel"]))
    return SumBound.of(taps * x[0], taps * x[1])


def _reduce(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    x = _moved(ranges[node.inputs[0]], node.attrs.get("x_zero_point", 0))
    shape = graph.types[node.inputs[0]].shape
    sums = node.attrs.get("kind", "sum") in ("sum", "mean")
    count = int(np.prod([shape[a] for a in node.attrs["axes"]])) if sums else 1
    return SumBound.of(count * x[0], count * x[1])


def _staged(node: Node, index: int, x: Interval) -> Interval:
    """The range of p_i: every code of the input goes through the input stage."""
    if x[1] - x[0] >= LARGEST_LISTED:
        raise KeyError(f"node '{node.name}': an input stage of more than 16 bits")
    p = input_stage(np.arange(x[0], x[1] + 1, dtype=np.int64), index, node.attrs)
    return int(p.min()), int(p.max())


def _add(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    signs = node.attrs.get("signs", [1])
    low = high = 0
    for i, name in enumerate(node.inputs):
        p = _product(_staged(node, i, ranges[name]), (signs[i if len(signs) > 1 else 0],) * 2)
        low, high = low + p[0], high + p[1]
        if node.attrs.get("saturate_each", 0) and 0 < i < len(node.inputs) - 1:
            least, most = intermediate_range(node)
            low, high = min(max(low, least), most), min(max(high, least), most)
    return SumBound.of(low, high)


def intermediate_range(node: Node) -> Interval:
    """The range that an Add with saturate_each, or a ChannelScale, keeps between its steps."""
    whole = INT_RANGES["int32" if node.op == "ChannelScale" else "int64"]
    return int(node.attrs.get("intermediate_min", whole[0])), int(node.attrs.get("intermediate_max", whole[1]))


def _mul(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    a = _moved(ranges[node.inputs[0]], node.attrs.get("a_zero_point", 0))
    b = _moved(ranges[node.inputs[1]], node.attrs.get("b_zero_point", 0))
    return SumBound.of(*_product(a, b))


def _requantize(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    return SumBound.of(*_moved(ranges[node.inputs[0]], node.attrs.get("x_zero_point", 0)))


def _channel_scale(node: Node, graph: Graph, ranges: Mapping[str, Interval]) -> SumBound:
    x, scale = ranges[node.inputs[0]], node.inputs[1]
    if scale in graph.constants:
        bound = _weighted(graph.constants[scale].astype(np.int64).reshape(-1, 1), x)
    else:
        bound = _dynamic(1, x, ranges[scale])
    return _plus(bound, _bias(node, graph, ranges))


SUMS: dict[str, Callable[[Node, Graph, Mapping[str, Interval]], SumBound]] = {
    "Conv2d": _conv,
    "ConvTranspose2d": _conv_transpose,
    "MatMul": _matmul,
    "AvgPool2d": _average,
    "Reduce": _reduce,
    "Add": _add,
    "Mul": _mul,
    "Requantize": _requantize,
    "ChannelScale": _channel_scale,
}
