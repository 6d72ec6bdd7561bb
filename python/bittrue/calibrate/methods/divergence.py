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
from bittrue.errors import UsageError

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


def kl_published(hist: Array, width: float, levels: int) -> float:
    """Threshold of the published code: the first minimum over levels, 2 * levels, .. bins, in binary32."""
    h, w = padded(hist, width, levels)
    chosen = int(np.argmin(_core.published_divergences(h, levels)))
    return float(F(F(w * F(chosen + 1)) * F(levels)))


def threshold(stats: TensorStatistics, parameters: Parameters, kind: str) -> float:
    hist, levels = np.asarray(stats.hist, np.int64), parameters.levels
    if parameters.variant == "nvidia":
        kept = levels + int(np.argmin(divergences(hist, levels, 1, hist.size - 1, kind)))
        return (kept + 0.5) * stats.width
    if parameters.variant != "tpumlir":
        raise UsageError(f"no variant '{parameters.variant}' of {kind}; known: tpumlir, nvidia")
    if kind == "kl":
        return kl_published(hist, stats.width, levels)
    h, width = padded(hist, stats.width, levels)
    return (1 + int(np.argmin(divergences(h, levels, levels, h.size, kind)))) * levels * float(width)


for _kind in KINDS:
    method(_kind, needs="histogram")(partial(threshold, kind=_kind))
