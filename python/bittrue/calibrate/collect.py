"""Statistics of all activations of a graph over a data set: what the threshold methods ask for, in as few runs of the
network as they need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.progress import track

from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.calibrate.methods import Method, Parameters
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.errors import DataError
from bittrue.graph.ir import Graph

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
    graph: Graph,
    records: Iterable[Record],
    methods: Collection[Method],
    parameters: Parameters,
    *,
    progress: bool = False,
) -> Statistics:
    """Statistics of all float32 activations. records may be iterated several times.

    Raises DataError for no samples and for NaN or infinite activations, UsageError for a variant that a method does not
    have.
    """
    for method in methods:
        method.check_variant(parameters.variant)
    names = [n for n in graph.activations() if graph.types[n].dtype == "float32"]
    runner = FloatRunner(graph, names)
    stats = Statistics({n: TensorStatistics(n) for n in names}, parameters, sorted(m.name for m in methods))
    needs = {m.needs for m in methods}
    # Enough extremes for the quantile, whatever the number of records: one record's share times their number.
    share = 1 - min(
        [0.9999, parameters.percentile] if len(methods) > 1 else [_fraction(m, parameters) for m in methods]
    )
    total = sum(1 for _ in records) if "top" in needs else 0

    def watch(what: str) -> Iterable[Record]:
        return track(records, description=what) if progress else records

    for record in watch("calibrating"):
        stats.records.append((record.key, _digest(record.feeds)))
        for name, x in runner.run(record.feeds).items():
            s = stats.tensors[name]
            s.look(x, record.key)
            if "histogram" in needs and (count := _counter(s, parameters)):
                count(x)
            if "top" in needs:
                s.keep_top(x, int(x.size * total * share) + 3)
            for method in methods:
                # An all-zero record says nothing; only the published code counts it.
                if method.record is not None and (parameters.variant == "tpumlir" or np.any(x)):
                    s.per_record.setdefault(method.name, []).append(method.record(x, parameters))
    if not names or not stats.records:
        raise DataError("no calibration samples")
    if "histogram" in needs and parameters.histogram == "two-pass":
        for record in watch("counting"):
            for name, x in runner.run(record.feeds).items():
                stats.tensors[name].count(x, parameters.bins)
    return stats


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
