"""What a run has measured, as text, as a table for a page, and in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.layers import Layer
from benchmarks.layers import table as layer_table
from benchmarks.measure import NOISY_SPREAD

SLOWEST = 5  # layers that are printed


@dataclass(frozen=True)
class Row:
    """One engine with one network and number of threads.

    spread: distance of the quartiles over the rounds as a part of the median. efficiency: part of the measured
    peak. ratio, ratio_spread: best peer's time divided by ours, of our engines; None of peers.
    """

    network: str
    engine: str
    threads: int
    milliseconds: float
    spread: float
    noisy: bool
    gmac_per_second: float
    efficiency: float
    load_seconds: float
    peak_bytes: int | None
    ratio: float | None = None
    ratio_spread: float | None = None


def line(row: Row) -> str:
    peak = "" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:7.1f} MB"
    text = (
        f"{row.network:13} {row.threads} threads  {row.engine:12}{row.milliseconds:9.2f} ms "
        f"{row.gmac_per_second:7.1f} GMAC/s {row.efficiency:5.0%} of peak {peak}, loaded in {row.load_seconds:5.3f} s"
    )
    if row.ratio is not None:
        text += f"  {row.ratio:5.2f} x best peer (spread {row.ratio_spread:.2f})"
    return text + ("  noisy" if row.noisy else "")


def slowest_layers(layers: Sequence[Layer]) -> list[str]:
    """The layers that take most of the time, as text."""
    return layer_table(sorted(layers, key=lambda v: -v.milliseconds)[:SLOWEST])


def summary(rows: Iterable[Row]) -> dict[str, float]:
    """Each best peer's time divided by ours, over all networks and targets: geometric mean per number of threads, and
    the worst."""
    ratios: dict[int, list[float]] = {}
    for row in rows:
        if row.ratio is not None:
            ratios.setdefault(row.threads, []).append(row.ratio)
    result = {f"geomean_{t}t": math.exp(sum(map(math.log, v)) / len(v)) for t, v in ratios.items()}
    return result | {"worst": min(v for values in ratios.values() for v in values)}


def markdown(rows: Sequence[Row]) -> str:
    """Milliseconds of every engine, one line a network and number of threads."""
    engines = list(dict.fromkeys(r.engine for r in rows))
    ours = [r.engine for r in rows if r.ratio is not None]
    columns = [*engines, *(f"{e}: x best peer" for e in dict.fromkeys(ours))]
    lines = [f"| network | threads | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for network, threads in dict.fromkeys((r.network, r.threads) for r in rows):
        found = [r for r in rows if (r.network, r.threads) == (network, threads)]
        cells = [f"{r.milliseconds:.1f}{'*' if r.noisy else ''}" for r in found]
        cells += [f"{r.ratio:.2f} ± {(r.ratio_spread or 0) / 2:.2f}" for r in found if r.ratio is not None]
        lines.append(f"| {network} | {threads} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def noise(rows: Sequence[Row], load_average: float, cores: int) -> str | None:
    """A warning if the machine had other work to do; None if it was quiet."""
    noisy = sum(r.noisy for r in rows)
    if not noisy and load_average < cores / 2:
        return None
    return (
        f"The machine is noisy: load average {load_average:.1f} on {cores} cores before the run, and {noisy} of "
        f"{len(rows)} timings (*) spread by more than {NOISY_SPREAD:.0%}. Only ratios within the run count."
    )
