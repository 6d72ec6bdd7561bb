"""What Winograd costs: every layer's error with it and without it, on one record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bittrue.audit.errors import ErrorSums
from bittrue.audit.networks import simulation
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.graph.ir import Graph
from bittrue.quantize.model import QuantizedModel
from bittrue.targets.bm1684.winograd import TILES
from bittrue.vendor.sophgo.calibration.console import log


def winograd_costs(graph: Graph, models: Sequence[QuantizedModel], record: Record) -> list[tuple[str, list[str]]]:
    """(layer or output, SQNR in dB by model) for every convolution that runs as Winograd in the last model, and for
    every output of the network."""
    names = {n.name.removesuffix(f"/{TILES}") for n in models[-1].graph.nodes if n.name.endswith(f"/{TILES}")}
    results = {n.outputs[0]: f"layer {n.name}" for n in graph.nodes if n.name in names}
    results |= {o: f"output {o}" for o in graph.outputs if graph.types[o].dtype == "float32"}
    truth = FloatRunner(graph, list(results)).run(record.feeds)
    found = [simulation(model, results)(record.feeds) for model in models]
    return [(what, [_sqnr(truth[tensor], values[tensor]) for values in found]) for tensor, what in results.items()]


def log_cost(graph: Graph, direct: QuantizedModel, winograd: QuantizedModel, record: Record) -> None:
    """A line for every convolution that runs as Winograd, and one for every output of the network."""
    costs = winograd_costs(graph, (direct, winograd), record)
    if not any(what.startswith("layer") for what, _ in costs):
        log("winograd: no convolution of this network can run so")
        return
    for what, (plain, wino) in costs:
        log(f"winograd: {what}: SQNR {wino} dB, {plain} dB without")


def _sqnr(truth: np.ndarray, got: np.ndarray) -> str:
    sums = ErrorSums()
    sums.add(truth, got)
    value = sums.sqnr_db()
    return "-" if value is None else f"{value:.1f}"
