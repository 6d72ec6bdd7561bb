"""Verdict of one tensor pair. Default: bit-exact for every dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.verify.metrics import TensorMetrics, bad_elements, compare_tensors, integer_distance, is_integer

Array = np.ndarray[Any, Any]
PASSING = {"EQUAL", "WITHIN", "EXTRA"}


@dataclass(frozen=True)
class Tolerance:
    """accuracy_i: largest integer difference. accuracy_f: the vendor's float rule (relative above 1, absolute below),
    evaluated in double; None means bit-exact."""

    accuracy_f: float | None = None
    accuracy_i: int = 0


def judge(ref: Array | None, got: Array | None, tolerance: Tolerance) -> tuple[str, TensorMetrics | None]:
    """(verdict, metrics): EQUAL, WITHIN, OFF_BY_LSB (integers, at most 2), DIFFERENT, MISSING, EXTRA, SHAPE, DTYPE or
    NONFINITE."""
    if got is None:
        return "MISSING", None
    if ref is None:
        return "EXTRA", None
    if ref.shape != got.shape:
        return "SHAPE", None
    if ref.dtype != got.dtype:
        return "DTYPE", None
    metrics = compare_tensors(ref, got)
    if not metrics.n_bad:
        return "EQUAL", metrics
    if metrics.nonfinite:
        return "NONFINITE", metrics
    bad = bad_elements(ref, got)
    if is_integer(ref):
        largest = int(integer_distance(ref[bad], got[bad]).max())
        if largest <= tolerance.accuracy_i:
            return "WITHIN", metrics
        return ("OFF_BY_LSB" if largest <= 2 else "DIFFERENT"), metrics
    r, g = ref[bad].astype(np.float64), got[bad].astype(np.float64)
    if tolerance.accuracy_f is not None and _within(r, g, tolerance.accuracy_f):
        return "WITHIN", metrics
    return "DIFFERENT", metrics


def _within(r: Array, g: Array, accuracy: float) -> bool:
    large = np.maximum(np.abs(r), np.abs(g)) > 1
    difference, small = np.abs(r - g), np.minimum(np.abs(r), np.abs(g))
    ok = np.where(large, (small >= 1e-20) & (difference <= accuracy * small), difference <= accuracy)
    return bool(ok.all())
