"""KL: the number of bins whose clipped distribution is closest to its quantized self.

Variants: `tpumlir` reproduces the published Sophgo code in binary32 (evidence: source); `nvidia` is the algorithm of
the GTC 2017 slides in double, all candidates (evidence: documented, its grouping assumed).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.calibrate.methods import Parameters, method
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.errors import UsageError

Array = np.ndarray[Any, Any]
F = np.float32
EPSILON = 1e-30
LARGEST = 131_072


@method("kl", needs="histogram")
def kl(stats: TensorStatistics, parameters: Parameters) -> float:
    if parameters.variant == "tpumlir":
        return kl_published(stats.hist, stats.width, parameters.levels)
    if parameters.variant == "nvidia":
        i, width = kl_all_candidates(stats.hist, parameters.levels), stats.width
        return (i + 0.5) * width
    raise UsageError(f"no variant '{parameters.variant}' of kl; known: tpumlir, nvidia")


def kl_published(hist: Array, width: float, levels: int) -> float:
    """Threshold of the published code: candidates levels, 2*levels, ..; binary32 sums in ascending order."""
    h = np.asarray(hist, np.int64)
    h = np.pad(h, (0, -h.size % levels))
    w = F(width)
    while h.size > LARGEST:
        h = h.reshape(-1, 2).sum(1)
        w = F(w * 2)
        h = np.pad(h, (0, -h.size % levels))
    counts = h.astype(F)
    total = F(h.sum())
    best, chosen = None, 0
    for m in range(h.size // levels):
        divergence = published_divergence(counts, total, (m + 1) * levels, levels)
        if best is None or divergence < best:
            best, chosen = divergence, m
    return float(F(F(w * F(chosen + 1)) * F(levels)))


def published_divergence(counts: Array, total: np.float32, i: int, levels: int) -> np.float32:
    """Divergence of one candidate, every step rounded to binary32 except the logarithms."""
    p = counts[:i].copy()
    last = p[i - 1]
    for outlier in counts[i:]:
        last = F(last + outlier)
    p[i - 1] = last
    p = p / total
    groups = counts[:i].reshape(levels, i // levels)
    mass = np.zeros(levels, F)
    inside = F(0)
    for column in groups.T:
        mass = mass + column
    for v in counts[:i]:
        inside = F(inside + v)
    nonempty = np.maximum((groups > 0).sum(1), 1).astype(F)
    if inside == 0:  # everything lies beyond the candidate
        return F(np.inf)
    level = np.repeat(mass / nonempty / inside, i // levels)
    q = np.where(counts[:i] > 0, level, F(0))
    terms = p.astype(np.float64) * (np.log10(p.astype(np.float64) + EPSILON) - np.log10(q.astype(np.float64) + EPSILON))
    divergence = F(0)
    for term in terms[terms != 0]:
        divergence = F(np.float64(divergence) + term)
    return divergence


def kl_all_candidates(hist: Array, levels: int) -> int:
    """Bins kept by the first minimum over i = levels .. bins-1."""
    h = np.asarray(hist, np.float64)
    best, chosen = np.inf, levels
    for i in range(levels, h.size):
        divergence = candidate_divergence(h, i, levels)
        if divergence < best:
            best, chosen = divergence, i
    return chosen


def candidate_divergence(h: Array, i: int, levels: int) -> float:
    """KL(P||Q) in double; infinite if everything lies beyond the candidate."""
    pair = candidate_distributions(h, i, levels)
    return relative_entropy(*pair) if pair else float("inf")


def relative_entropy(p: Array, q: Array) -> float:
    """KL(P||Q) over the bins where P has mass, in double."""
    used = p > 0
    return float(np.sum(p[used] * (np.log(p[used] + EPSILON) - np.log(q[used] + EPSILON))))


def candidate_distributions(h: Array, i: int, levels: int) -> tuple[Array, Array] | None:
    """P and Q of a candidate, in double; None if everything lies beyond the candidate.

    Outliers are folded into the last bin of P; Q is spread evenly over the non-empty bins of each level.
    """
    p = h[:i].copy()
    p[i - 1] += h[i:].sum()
    p /= h.sum()
    edges = np.arange(levels) * i // levels
    mass = np.add.reduceat(h[:i], edges)
    nonempty = np.add.reduceat((h[:i] > 0).astype(np.float64), edges)
    per_bin = np.repeat(mass / np.maximum(nonempty, 1), np.diff(np.append(edges, i)))
    q = np.where(h[:i] > 0, per_bin, 0.0)
    total = q.sum()
    return None if total == 0 else (p, q / total)
