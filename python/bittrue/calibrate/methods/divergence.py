"""SYMKL and JSD: the candidates of KL under a symmetric divergence, sums in double.

Evidence: assumed, the vendor's manual gives only the names. Variants: `tpumlir` tries every multiple of the levels,
`nvidia` every number of bins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bittrue.calibrate.methods import Array, Parameters, method
from bittrue.calibrate.methods.kl import LARGEST, candidate_distributions, relative_entropy
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.errors import UsageError

Divergence = Callable[[Array, Array], float]


def symmetric(p: Array, q: Array) -> float:
    """KL(P||Q) + KL(Q||P)."""
    return relative_entropy(p, q) + relative_entropy(q, p)


def jensen_shannon(p: Array, q: Array) -> float:
    """Mean of the divergences from the middle of both."""
    middle = (p + q) / 2
    return (relative_entropy(p, middle) + relative_entropy(q, middle)) / 2


def best_bins(hist: Array, levels: int, step: int, last: int, divergence: Divergence) -> int:
    """Bins kept by the first minimum over levels, levels + step, .. up to `last`."""
    h = np.asarray(hist, np.float64)
    best, chosen = np.inf, levels
    for i in range(levels, last + 1, step):
        pair = candidate_distributions(h, i, levels)
        value = divergence(*pair) if pair else np.inf
        if value < best:
            best, chosen = value, i
    return chosen


def _threshold(stats: TensorStatistics, parameters: Parameters, divergence: Divergence, name: str) -> float:
    hist, width, levels = np.asarray(stats.hist, np.int64), stats.width, parameters.levels
    if parameters.variant == "nvidia":
        return (best_bins(hist, levels, 1, hist.size - 1, divergence) + 0.5) * width
    if parameters.variant != "tpumlir":
        raise UsageError(f"no variant '{parameters.variant}' of {name}; known: tpumlir, nvidia")
    hist = np.pad(hist, (0, -hist.size % levels))
    while hist.size > LARGEST:
        hist, width = hist.reshape(-1, 2).sum(1), width * 2
        hist = np.pad(hist, (0, -hist.size % levels))
    return best_bins(hist, levels, levels, hist.size, divergence) * width


@method("symkl", needs="histogram")
def symkl(stats: TensorStatistics, parameters: Parameters) -> float:
    return _threshold(stats, parameters, symmetric, "symkl")


@method("jsd", needs="histogram")
def jsd(stats: TensorStatistics, parameters: Parameters) -> float:
    return _threshold(stats, parameters, jensen_shannon, "jsd")
