"""What Winograd costs: every layer's error with it and without it, on one record."""

from __future__ import annotations

import numpy as np

from bittrue.audit.errors import ErrorSums
from bittrue.audit.networks import simulation
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.graph.ir import Graph
from bittrue.quantize.model import QuantizedModel
from bittrue.targets.bm1684.winograd import TILES
from bittrue.vendor.sophgo.calibration.console import log


def log_cost(graph: Graph, direct: QuantizedModel, winograd: QuantizedModel, record: Record) -> None:
    """A line for every convolution that runs as Winograd, and one for every output of the network."""
    names = {n.name.removesuffix(f"/{TILES}") for n in winograd.graph.nodes if n.name.endswith(f"/{TILES}")}
    if not names:
        log("winograd: no convolution of this network can run so")
        return
    results = {n.outputs[0]: n.name for n in graph.nodes if n.name in names}
    outputs = [o for o in graph.outputs if graph.types[o].dtype == "float32"]
    truth = FloatRunner(graph, [*results, *outputs]).run(record.feeds)
    found = [simulation(model, results)(record.feeds) for model in (direct, winograd)]
    for tensor, value in truth.items():
        what = f"layer {results[tensor]}" if tensor in results else f"output {tensor}"
        plain, wino = (_sqnr(value, values[tensor]) for values in found)
        log(f"winograd: {what}: SQNR {wino} dB, {plain} dB without")


def _sqnr(truth: np.ndarray, got: np.ndarray) -> str:
    sums = ErrorSums()
    sums.add(truth, got)
    value = sums.sqnr_db()
    return "-" if value is None else f"{value:.1f}"
