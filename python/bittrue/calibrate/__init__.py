"""Calibration: thresholds of activations from data (definitions and their evidence: docs of the methods)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bittrue.calibrate.collect import Statistics, collect
from bittrue.calibrate.data import Record
from bittrue.calibrate.methods import Parameters, find_method
from bittrue.calibrate.table import CalibrationTable, Threshold
from bittrue.errors import UsageError
from bittrue.graph.ir import Graph
from bittrue.graph.shaped import ShapedGraphs

SMALLEST = 1e-5


def calibrate(
    graph: Graph | ShapedGraphs,
    records: Iterable[Record],
    *,
    method: str = "kl",
    parameters: Parameters | None = None,
    model_sha256: str = "",
    progress: bool = False,
) -> CalibrationTable:
    """Thresholds of all float32 activations of a float graph.

    records may be iterated twice. Those of differing shapes need ShapedGraphs, see `collect`. Raises DataError for no
    samples and for NaN or infinite activations, UsageError for an unknown method.
    """
    statistics = collect(graph, records, [find_method(method)], parameters or Parameters(), progress=progress)
    return thresholds(statistics, method, model_sha256=model_sha256)


def thresholds(statistics: Statistics, method: str, *, model_sha256: str = "") -> CalibrationTable:
    """Thresholds by a method. Raises UsageError for a method that the statistics were not collected for."""
    chosen, parameters = find_method(method), statistics.parameters
    if chosen.name not in statistics.methods:
        raise UsageError(f"statistics for {', '.join(statistics.methods)} are not enough for {chosen.name}")
    tensors = {}
    for name, s in statistics.tensors.items():
        if s.absmax <= SMALLEST:
            tensors[name] = Threshold(SMALLEST, -SMALLEST if s.min < 0 else 0.0, SMALLEST, chosen.name)
            continue
        t = s.absmax if s.constant else chosen.threshold(s, parameters)
        t = min(max(t, SMALLEST), s.absmax) if not math.isnan(t) else SMALLEST
        tensors[name] = Threshold(t, s.min, s.max, chosen.name)
    count = len(statistics.records)
    return CalibrationTable(tensors, chosen.name, parameters.variant, parameters.bins, count, model_sha256)
