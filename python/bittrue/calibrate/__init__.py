"""Calibration: thresholds of activations from data (definitions and their evidence: docs of the methods)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from rich.progress import track

from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.calibrate.methods import Parameters, find_method
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.calibrate.table import CalibrationTable, Threshold
from bittrue.errors import DataError
from bittrue.graph.ir import Graph

SMALLEST = 1e-5


def calibrate(
    graph: Graph,
    records: Iterable[Record],
    *,
    method: str = "kl",
    parameters: Parameters | None = None,
    model_sha256: str = "",
    progress: bool = False,
) -> CalibrationTable:
    """Thresholds of all float32 activations of a float graph.

    records may be iterated twice. Raises DataError for no samples and for NaN or infinite activations, UsageError for
    an unknown method.
    """
    chosen = find_method(method)
    parameters = parameters or Parameters()
    names = [n for n in graph.activations() if graph.types[n].dtype == "float32"]
    runner = FloatRunner(graph, names)
    stats = {n: TensorStatistics(n) for n in names}
    growing = chosen.needs == "histogram" and parameters.variant == "tpumlir"
    # Enough extremes for the quantile, whatever the number of records: one record's share times their number.
    share = 1 - (0.9999 if chosen.name == "percentile9999" else parameters.percentile)

    def watch(what: str) -> Iterable[Record]:
        return track(records, description=what) if progress else records

    total = sum(1 for _ in records) if chosen.needs == "top" else 0
    for record in watch("calibrating"):
        for name, x in runner.run(record.feeds).items():
            s = stats[name]
            s.look(x, record.key)
            if growing:
                s.count_growing(x, parameters.bins)
            elif chosen.needs == "top":
                s.keep_top(x, int(x.size * total * share) + 3)
            elif chosen.record is not None and (parameters.variant == "tpumlir" or np.any(x)):
                # An all-zero record says nothing; only the published code counts it.
                s.per_record.append(chosen.record(x, parameters))
    if not names or not stats[names[0]].records:
        raise DataError("no calibration samples")
    if chosen.needs == "histogram" and not growing:
        for record in watch("counting"):
            for name, x in runner.run(record.feeds).items():
                stats[name].count(x, parameters.bins)
    tensors = {}
    for name, s in stats.items():
        if s.absmax <= SMALLEST:
            tensors[name] = Threshold(SMALLEST, -SMALLEST if s.min < 0 else 0.0, SMALLEST, chosen.name)
            continue
        t = s.absmax if s.constant else chosen.threshold(s, parameters)
        t = min(max(t, SMALLEST), s.absmax) if not math.isnan(t) else SMALLEST
        tensors[name] = Threshold(t, s.min, s.max, chosen.name)
    count = stats[names[0]].records
    return CalibrationTable(tensors, chosen.name, parameters.variant, parameters.bins, count, model_sha256)
