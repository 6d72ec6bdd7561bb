"""Overflow and headroom audit: what accumulators hold, what they could be asked to hold, and what outputs clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bittrue.audit.accumulators import Probe, with_probes
from bittrue.calibrate.data import Record
from bittrue.errors import DataError
from bittrue.graph.ir import Graph, Node
from bittrue.ops.arithmetic import INT_RANGES, round_real
from bittrue.quantize.model import QuantizedModel, TensorQuant
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]
LISTED_CHANNELS = 8


def bits_needed(low: int, high: int) -> int:
    """Bits of the smallest two's complement number that holds both."""
    return max((v if v >= 0 else ~v).bit_length() for v in (low, high)) + 1


@dataclass
class Accumulator:
    """One accumulator over all samples; arrays have one entry per channel (one in all where there are no channels).

    limit: the values that it holds without loss, None for a rule without limit. sum_min, sum_max: exact sums seen;
    worst_min, worst_max: what the weights and the ranges of the inputs allow. overflowed: sums seen outside the limit.
    below, above: values of the output stage outside its clamp, None for a sum inside a node. activation: the
    lower clamp is a relu, so values below it are no loss; so are those above a limit that the relu has (relu6).
    """

    layer: str
    op: str
    part: str
    rule: str
    evidence: str
    limit: tuple[int, int] | None
    worst_min: Array
    worst_max: Array
    sum_min: Array
    sum_max: Array
    overflowed: Array
    below: Array | None
    above: Array | None
    activation: bool
    limited_above: bool
    values: int = 0

    @property
    def limit_bits(self) -> int | None:
        return bits_needed(*self.limit) if self.limit else None

    def headroom(self, channel: int | None = None, *, seen: bool = False) -> int | None:
        """Bits left over between the limit and the worst case (or what was seen); negative: too few.

        Of one channel or of the tightest one; None without a limit or, for what was seen, without samples.
        """
        if self.limit_bits is None or (seen and not self.values):
            return None
        low, high = (self.sum_min, self.sum_max) if seen else (self.worst_min, self.worst_max)
        at = range(len(low)) if channel is None else [channel]
        return self.limit_bits - max(bits_needed(int(low[c]), int(high[c])) for c in at)

    def clipped(self) -> Array | None:
        """Saturated values per channel: outside the clamp, the work of the fused activation left out."""
        if self.below is None or self.above is None:
            return None
        zero = np.zeros_like(self.below)
        clipped: Array = (zero if self.activation else self.below) + (zero if self.limited_above else self.above)
        return clipped

    def channel(self, c: int) -> dict[str, Any]:
        """One channel."""
        clipped = self.clipped()
        each = self.values // len(self.worst_min)
        return {
            "channel": c,
            "sum_min": int(self.sum_min[c]) if each else None,
            "sum_max": int(self.sum_max[c]) if each else None,
            "worst_min": int(self.worst_min[c]),
            "worst_max": int(self.worst_max[c]),
            "headroom_seen": self.headroom(c, seen=True),
            "headroom_worst": self.headroom(c),
            "overflowed": int(self.overflowed[c]),
            "saturated": None if clipped is None or not each else float(clipped[c]) / each,
        }

    def as_dict(self) -> dict[str, Any]:
        """Totals, and the channels with the most losses or the least headroom."""
        channels = [self.channel(c) for c in range(len(self.worst_min))]

        def share(count: Array | None) -> float | None:
            return None if count is None or not self.values else float(count.sum()) / self.values

        def loss(c: dict[str, Any]) -> tuple[Any, ...]:
            return -c["overflowed"], -(c["saturated"] or 0.0), c["headroom_worst"] or 0, c["headroom_seen"] or 0

        return {
            "layer": self.layer,
            "op": self.op,
            "part": self.part,
            "accumulator": self.rule,
            "evidence": self.evidence,
            "limit_bits": self.limit_bits,
            "channels": len(channels),
            "values": self.values,
            "sum_min": int(self.sum_min.min()) if self.values else None,
            "sum_max": int(self.sum_max.max()) if self.values else None,
            "worst_min": int(self.worst_min.min()),
            "worst_max": int(self.worst_max.max()),
            "headroom_seen": self.headroom(seen=True),
            "headroom_worst": self.headroom(),
            "overflowed": int(self.overflowed.sum()),
            "saturated": share(self.clipped()),
            "below": share(self.below),
            "above": share(self.above),
            "activation": self.activation,
            "tightest": sorted(channels, key=loss)[:LISTED_CHANNELS] if len(channels) > 1 else [],
        }


@dataclass
class Clipping:
    """How far values leave a threshold. source: "float" (values of the float run) or "quantize" (values that a
    Quantize of the simulated network takes). largest: the largest magnitude seen."""

    tensor: str
    threshold: float
    set_by: str
    source: str
    values: int = 0
    clipped: int = 0
    largest: float = 0.0

    def look(self, x: Array, outside: Array) -> None:
        self.values += x.size
        self.clipped += int(np.count_nonzero(outside))
        self.largest = max(self.largest, float(np.abs(x).max(initial=0)))

    def as_dict(self) -> dict[str, Any]:
        share = self.clipped / self.values if self.values else 0.0
        return {**vars(self), "share": share, "times_threshold": self.largest / self.threshold}


@dataclass
class OverflowAudit:
    """Accumulators in execution order, thresholds in order of the float graph."""

    samples: int = 0
    accumulators: list[Accumulator] = field(default_factory=list)
    thresholds: list[Clipping] = field(default_factory=list)

    @property
    def overflowed(self) -> int:
        return sum(int(a.overflowed.sum()) for a in self.accumulators)

    def channel_rows(self) -> list[dict[str, Any]]:
        """Every channel of every accumulator."""
        return [
            {"layer": a.layer, "op": a.op, "part": a.part, "accumulator": a.rule, **a.channel(c)}
            for a in self.accumulators
            for c in range(len(a.worst_min))
        ]

    def as_dict(self) -> dict[str, Any]:
        rows = [a.as_dict() for a in self.accumulators]
        limited = [r["headroom_worst"] for r in rows if r["headroom_worst"] is not None]
        return {
            "samples": self.samples,
            "overflowed": self.overflowed,
            "least_headroom": min(limited, default=None),
            "layers_that_can_overflow": sum(1 for h in limited if h < 0),
            "accumulators": rows,
            "thresholds": [c.as_dict() for c in self.thresholds],
        }


def run_overflow(
    model: QuantizedModel,
    records: Iterable[Record],
    feeds_of: Callable[[Feeds], dict[str, Array]],
    float_run: Callable[[Feeds], dict[str, Array]] | None = None,
    *,
    path: str | None = None,
    threads: int | None = None,
) -> OverflowAudit:
    """Measures every accumulator of a quantized model.

    feeds_of: a record's tensors as inputs of the model. float_run: all float tensors of a record, for thresholds;
    without it the Quantize nodes say what their thresholds clip. Raises DataError without samples.
    """
    graph, probes = with_probes(model.graph)
    session = Session(graph, path=path, threads=threads)
    borders = [] if float_run else [n for n in model.graph.nodes if n.op == "Quantize"]
    audit = OverflowAudit(0, [_accumulator(p, graph) for p in probes])
    clippings = {n.name: _border(n, model) for n in borders}
    wanted = [*(p.sums for p in probes), *(p.unclamped for p in probes if p.unclamped), *(n.inputs[0] for n in borders)]
    for record in records:
        trace = session.run(feeds_of(record.feeds), trace=wanted).trace
        for probe, row in zip(probes, audit.accumulators, strict=True):
            _look(row, probe, trace, graph)
        for node in borders:
            x = trace[node.inputs[0]]
            clippings[node.name].look(x, _outside(node, x, graph))
        if float_run:
            for name, x in float_run(record.feeds).items():
                quant = _quantization(model, name)
                if quant:
                    row_of = clippings.setdefault(name, Clipping(name, quant.threshold, quant.set_by, "float"))
                    lowest = -quant.threshold if quant.min < 0 else 0.0
                    row_of.look(x, (x > quant.threshold) | (x < lowest))
        audit.samples += record.samples
    if not audit.samples:
        raise DataError("no samples to audit")
    audit.thresholds = list(clippings.values())
    return audit


def _quantization(model: QuantizedModel, tensor: str) -> TensorQuant | None:
    """Of a float tensor, whichever form of it the quantized graph keeps under its name."""
    return model.tensors.get(tensor) or model.tensors.get(f"{tensor}/int8")


def _accumulator(probe: Probe, graph: Graph) -> Accumulator:
    node, shape = probe.node, graph.types[probe.sums].shape
    channels = 1 if probe.axis is None else shape[probe.axis]
    whole = INT_RANGES["int64"]
    low, high = _clamp(node, graph)
    full = INT_RANGES[graph.types[node.outputs[0]].dtype]
    activation = low == int(node.attrs.get("zero_point", 0))
    return Accumulator(
        layer=node.name,
        op=node.op,
        part=probe.part,
        rule=str(node.attrs.get("acc", "exact64")) if node.op != "ChannelScale" and not probe.part else "intermediate",
        evidence=str(node.attrs.get("evidence", "")),
        limit=probe.limit,
        worst_min=np.broadcast_to(probe.bound.low, (channels,)),
        worst_max=np.broadcast_to(probe.bound.high, (channels,)),
        sum_min=np.full(channels, whole[1], np.int64),
        sum_max=np.full(channels, whole[0], np.int64),
        overflowed=np.zeros(channels, np.int64),
        below=np.zeros(channels, np.int64) if probe.unclamped else None,
        above=np.zeros(channels, np.int64) if probe.unclamped else None,
        activation=activation,
        limited_above=activation and high < full[1],
    )


def _clamp(node: Node, graph: Graph) -> tuple[int, int]:
    low, high = INT_RANGES[graph.types[node.outputs[0]].dtype]
    return int(node.attrs.get("clamp_min", low)), int(node.attrs.get("clamp_max", high))


def _look(row: Accumulator, probe: Probe, trace: Mapping[str, Array], graph: Graph) -> None:
    sums = trace[probe.sums]
    axes = tuple(i for i in range(sums.ndim) if i != probe.axis)
    low, high = sums.min(axes), sums.max(axes)
    row.values += sums.size
    row.sum_min, row.sum_max = np.minimum(row.sum_min, low), np.maximum(row.sum_max, high)
    if row.limit:
        # A relu in the intermediate range takes negative values on purpose.
        least = row.limit[0] if row.limit[0] < 0 else INT_RANGES["int64"][0]
        if np.any(low < least) or np.any(high > row.limit[1]):
            row.overflowed += ((sums < least) | (sums > row.limit[1])).sum(axes)
    if probe.unclamped and row.below is not None and row.above is not None:
        value = trace[probe.unclamped]
        clamp = _clamp(probe.node, graph)
        row.below += np.count_nonzero(value < clamp[0], axes)
        row.above += np.count_nonzero(value > clamp[1], axes)


def _border(node: Node, model: QuantizedModel) -> Clipping:
    quant = model.tensors.get(node.outputs[0])
    scale = float(np.max(node.attrs.get("scale", [1.0])))
    step = scale if node.attrs.get("scale_op", "multiply") == "divide" else 1 / scale
    threshold = quant.threshold if quant else step * _clamp(node, model.graph)[1]
    return Clipping(node.inputs[0], threshold, quant.set_by if quant else "", "quantize")


def _outside(node: Node, x: Array, graph: Graph) -> Array:
    """Which values a Quantize clips. The work of an unsigned type on negative values counts: they are lost."""
    attrs = node.attrs
    scale, zero = (np.asarray(attrs.get(k, d)) for k, d in (("scale", [1.0]), ("zero_point", 0)))
    axis = (-1, *[1] * (x.ndim - 1 - attrs.get("axis", 1)))
    scale, zero = (v.reshape(axis) if v.size > 1 else v.reshape(()) for v in (scale.astype(np.float32), zero))
    with np.errstate(all="ignore"):
        v = x / scale if attrs.get("scale_op", "multiply") == "divide" else x * scale
    q = round_real(v, attrs.get("rounding", "half_even")) + zero
    low, high = _clamp(node, graph)
    return (q < low) | (q > high)
