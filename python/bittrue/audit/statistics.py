"""Statistics of paired classification results."""

from __future__ import annotations

import math


def wilson(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
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
