"""Statistics of all activations of a graph over a data set: what the threshold methods ask for, in as few runs of the
network as they need."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.progress import track

from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import ShapedRunner
from bittrue.calibrate.methods import Method, Parameters
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.errors import DataError
from bittrue.graph.ir import Graph
from bittrue.graph.shaped import ShapedGraphs, shapes_of

Array = np.ndarray[Any, Any]


@dataclass
class Statistics:
    """tensors: by name. methods: names of those that the statistics are enough for. records: (key, SHA-256 of the
    inputs) of every record."""

    tensors: dict[str, TensorStatistics]
    parameters: Parameters
    methods: list[str]
    records: list[tuple[str, str]] = field(default_factory=list)


def collect(
    graph: Graph | ShapedGraphs,
    records: Iterable[Record],
    methods: Collection[Method],
    parameters: Parameters,
    *,
    progress: bool = False,
) -> Statistics:
    """Statistics of all float32 activations. records may be iterated several times.

    A network of ShapedGraphs takes records of differing shapes: statistics are pooled over all of them, every element
    counts once. Raises DataError for no samples, for NaN or infinite activations and for records of a shape that the
    network does not take, UsageError for a variant that a method does not have.
    """
    graphs = graph if isinstance(graph, ShapedGraphs) else ShapedGraphs(graph)
    graph = graphs.graph
    for method in methods:
        method.check_variant(parameters.variant)
    names = [n for n in graph.activations() if graph.types[n].dtype == "float32"]
    runner = ShapedRunner(graphs, names)
    stats = Statistics({n: TensorStatistics(n) for n in names}, parameters, sorted(m.name for m in methods))
    needs = {m.needs for m in methods}
    averaged = {m.name: m.record for m in methods if m.record is not None}
    # Enough extremes for the quantile, whatever the number of records: one record's share times their number.
    share = 1 - min(
        [0.9999, parameters.percentile] if len(methods) > 1 else [_fraction(m, parameters) for m in methods]
    )
    totals = _elements(graphs, records, names) if "top" in needs else {}

    def run(record: Record) -> Iterable[tuple[TensorStatistics, Array]]:
        try:
            values = runner.run(record.feeds)
        except DataError as e:
            raise DataError(f"record '{record.key}': {e}") from e
        return ((stats.tensors[name], x) for name, x in values.items())

    def watch(what: str) -> Iterable[Record]:
        return track(records, description=what) if progress else records

    for record in watch("calibrating"):
        stats.records.append((record.key, _digest(record.feeds)))
        for s, x in run(record):
            s.look(x, record.key)
            if "histogram" in needs and (count := _counter(s, parameters)):
                count(x)
            if "top" in needs:
                s.keep_top(x, int(totals[s.name] * share) + 3)
            # An all-zero record says nothing; only the published code counts it.
            if averaged and (parameters.variant == "tpumlir" or np.any(x)):
                s.record_sizes.append(x.size)
                for name, number in averaged.items():
                    s.per_record.setdefault(name, []).append(number(x, parameters))
    if not names or not stats.records:
        raise DataError("no calibration samples")
    if "histogram" in needs and parameters.histogram == "two-pass":
        for record in watch("counting"):
            for s, x in run(record):
                s.count(x, parameters.bins)
    return stats


def _elements(graphs: ShapedGraphs, records: Iterable[Record], names: Iterable[str]) -> dict[str, int]:
    """Elements of every tensor over all records."""
    totals = dict.fromkeys(names, 0)
    keys: dict[Any, str] = {}
    counts: Counter[Any] = Counter()
    for record in records:
        shapes = shapes_of(record.feeds)
        keys.setdefault(shapes, record.key)
        counts[shapes] += 1
    for shapes, count in counts.items():
        try:
            types = graphs.at(dict(shapes)).types
        except DataError as e:
            raise DataError(f"record '{keys[shapes]}': {e}") from e
        for name in totals:
            totals[name] += count * types[name].elements
    return totals


def _fraction(method: Method, parameters: Parameters) -> float:
    return 0.9999 if method.name == "percentile9999" else parameters.percentile


def _counter(stats: TensorStatistics, parameters: Parameters) -> Callable[[Array], None] | None:
    """What counts a record in the first pass, if the mode of the histogram counts there."""
    match parameters.histogram:
        case "tpumlir":
            return lambda x: stats.count_growing(x, parameters.bins)
        case "one-pass":
            return stats.count_dyadic
    return None


def _digest(feeds: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(feeds):
        digest.update(name.encode() + np.ascontiguousarray(feeds[name]).tobytes())
    return digest.hexdigest()
