"""Statistics of paired classification results."""

from __future__ import annotations

import math

Z95 = 1.959964  # two-sided 95 % of the normal distribution


def wilson(right: int, n: int, z: float = Z95) -> tuple[float, float]:
    """95 % Wilson interval of an accuracy."""
    if not n:
        return 0.0, 1.0
    p = right / n
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def mcnemar(lost: int, gained: int) -> float:
    """Exact two-sided p of McNemar's test: min(1, 2 * sum over k <= min of C(n, k) / 2^n)."""
    n = lost + gained
    tail = sum(math.comb(n, k) for k in range(min(lost, gained) + 1))
    return min(1.0, 2 * tail / 2**n)


def drop_interval(lost: int, gained: int, n: int, z: float = Z95) -> tuple[float, float]:
    """95 % interval of the drop (lost - gained)/n of an accuracy measured twice on the same n samples.

    Wald's interval of a paired difference after adding one half to each cell of the paired table (Agresti and Min,
    "Simple improved confidence intervals for comparing matched proportions", 2005).
    """
    if not n:
        return -1.0, 1.0
    total = n + 2
    drop, flips = (lost - gained) / total, lost + gained + 1
    spread = z * math.sqrt(flips - total * drop * drop) / total
    return max(-1.0, drop - spread), min(1.0, drop + spread)
