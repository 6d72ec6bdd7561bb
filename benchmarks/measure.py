"""Fair timing on a machine that others use too: the engines run in turn in short bursts, and only times of one round
are compared with each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.engines import Engine

BURST_SECONDS = 0.06
NOISY_SPREAD = 0.15


@dataclass
class Timing:
    """Seconds of one inference in every round (the median of the burst)."""

    rounds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Distance of the quartiles as a part of the median."""
        return _quartile_distance(self.rounds) / self.median

    @property
    def noisy(self) -> bool:
        return self.spread > NOISY_SPREAD


def _quartile_distance(values: list[float]) -> float:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def burst(engine: Engine) -> float:
    """Median seconds of a few inferences, the first of which warms the caches and is not counted."""
    engine.run()
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < BURST_SECONDS and len(seconds) < 30):
        start = time.perf_counter()
        engine.run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(engines: Sequence[Engine], rounds: int) -> list[Timing]:
    """One timing an engine, of at least two rounds. The order is reversed in every other round, so that drift hits all
    alike."""
    timings = [Timing([]) for _ in engines]
    pairs = list(zip(engines, timings, strict=True))
    for i in range(rounds):
        for engine, timing in pairs if i % 2 == 0 else pairs[::-1]:
            timing.rounds.append(burst(engine))
    return timings


def ratio(peer: Timing, ours: Timing) -> tuple[float, float]:
    """How many times faster than the peer ours is: median and quartile distance over the rounds."""
    ratios = [p / o for p, o in zip(peer.rounds, ours.rounds, strict=True)]
    return statistics.median(ratios), _quartile_distance(ratios)
