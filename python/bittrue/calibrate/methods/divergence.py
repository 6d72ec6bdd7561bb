"""KL, SYMKL and JSD: the number of bins whose clipped distribution is closest to its quantized self.

Candidates: variant `tpumlir` tries every multiple of the levels up to the whole histogram, `nvidia` every number of
bins from the levels on but the whole. KL `tpumlir` reproduces the published Sophgo code in binary32 (evidence: source);
KL `nvidia` is the algorithm of the GTC 2017 slides in double (evidence: documented, its grouping assumed). Of SYMKL and
JSD the vendor's manual gives only the names: assumed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import bittrue._core as _core
from bittrue.calibrate.methods import Parameters, method
from bittrue.calibrate.statistics import TensorStatistics

Array = np.ndarray[Any, Any]
F = np.float32
KINDS = {"kl": 0, "symkl": 1, "jsd": 2}
LARGEST = 131_072


def divergences(hist: Array, levels: int, step: int, last: int, kind: str = "kl") -> Array:
    """Divergences (double) of the candidates that keep levels, levels + step, .. up to `last` bins; infinite where
    everything lies beyond the candidate."""
    return _core.divergences(np.ascontiguousarray(hist, np.int64), levels, step, last, KINDS[kind])


def padded(hist: Array, width: float, levels: int) -> tuple[Array, np.float32]:
    """A histogram of a multiple of `levels` bins, at most LARGEST, and the width of its bins (binary32)."""
    h, w = np.asarray(hist, np.int64), F(width)
    h = np.pad(h, (0, -h.size % levels))
    while h.size > LARGEST:
        h, w = h.reshape(-1, 2).sum(1), F(w * 2)
        h = np.pad(h, (0, -h.size % levels))
    return h, w


def joined_bins(hist: Array, width: float, largest: float, bins: int) -> tuple[Array, float]:
    """The used bins of a one-pass histogram, joined in equal groups so that at least `bins` remain where there are as
    many [assumed]."""
    used = min(hist.size, int(largest / width) + 1)
    group = max(1, used // bins)
    used = -(-used // group) * group
    padded_hist = np.pad(hist[:used], (0, max(0, used - hist.size)))
    return padded_hist.reshape(-1, group).sum(1), width * group


def kl_published(hist: Array, width: float, levels: int) -> float:
    """Threshold of the published code: the first minimum over levels, 2 * levels, .. bins, in binary32."""
    h, w = padded(hist, width, levels)
    chosen = int(np.argmin(_core.published_divergences(h, levels)))
    return float(F(F(w * F(chosen + 1)) * F(levels)))


def threshold(stats: TensorStatistics, parameters: Parameters, kind: str) -> float:
    hist, levels, width = np.asarray(stats.hist, np.int64), parameters.levels, stats.width
    if parameters.one_pass:
        hist, width = joined_bins(hist, width, stats.absmax, parameters.bins)
    if parameters.variant == "nvidia":
        kept = levels + int(np.argmin(divergences(hist, levels, 1, hist.size - 1, kind)))
        return (kept + 0.5) * width
    if kind == "kl":
        return kl_published(hist, width, levels)
    h, w = padded(hist, width, levels)
    return (1 + int(np.argmin(divergences(h, levels, levels, h.size, kind)))) * levels * float(w)


for _kind in KINDS:
    method(_kind, "histogram", ("tpumlir", "nvidia"))(partial(threshold, kind=_kind))
