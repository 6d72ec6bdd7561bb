"""Where the time of our engine goes, layer by layer."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.engines import Engine
from bittrue.runtime.layer_costs import layer_costs


@dataclass(frozen=True)
class Layer:
    """share: of the time of all layers. kernel: which code ran, as `Session.implementations`."""

    name: str
    op: str
    output_shape: str
    kernel: str
    milliseconds: float
    share: float
    gmac_per_second: float


def profile(engine: Engine, runs: int) -> list[Layer]:
    """Median of every layer over some runs of one of our engines, in the order of execution."""
    assert engine.session is not None
    seconds: list[dict[str, float]] = []
    for _ in range(runs + 1):
        engine.run()
        seconds.append(engine.session.node_seconds)
    medians = {name: statistics.median(s[name] for s in seconds[1:]) for name in seconds[0]}
    total, kernels = sum(medians.values()), engine.session.implementations
    return [
        Layer(
            c.layer,
            c.op,
            c.output_shape,
            kernels[c.layer],
            medians[c.layer] * 1e3,
            medians[c.layer] / total,
            c.macs / medians[c.layer] / 1e9 if medians[c.layer] else 0.0,
        )
        for c in layer_costs(engine.session.graph, medians)
    ]


def table(layers: Sequence[Layer]) -> list[str]:
    """Lines of text, a heading first."""
    lines = [f"{'layer':32}{'op':12}{'output':16}{'kernel':24}{'ms':>9}{'share':>8}{'GMAC/s':>9}"]
    for v in layers:
        lines.append(
            f"{v.name:31} {v.op:12}{v.output_shape:16}{v.kernel:24}{v.milliseconds:9.3f}{v.share:8.1%}"
            f"{v.gmac_per_second:9.1f}"
        )
    return lines
