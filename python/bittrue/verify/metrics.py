"""Metrics of one tensor pair: exact counts first, then float64 sums."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
WORST = 16


@dataclass
class TensorMetrics:
    """d = got - ref. lsb_max and bias are in units of the last place for integers, in real units for floats."""

    n: int
    n_bad: int
    lsb_max: float
    bias: float
    max_abs: float
    cosine: float
    sqnr_db: float | None
    rel_l2: float
    mre: float | None
    nan_equal: int = 0
    nonfinite: int = 0
    worst: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def bad_elements(ref: Array, got: Array) -> Array:
    """Elements that differ; +0 equals -0, and NaN equals NaN whatever the payload."""
    differ: Array = ref != got
    if not is_integer(ref):
        differ &= ~(np.isnan(ref) & np.isnan(got))
    return differ


def integer_distance(ref: Array, got: Array) -> Array:
    """|got - ref| of integers of one dtype, exact, as uint64."""
    high, low = np.maximum(ref, got), np.minimum(ref, got)
    return high.astype(np.uint64) - low.astype(np.uint64)  # modulo 2^64, so exact for every pair


def is_integer(a: Array) -> bool:
    return a.dtype.kind in "iub"


def cosine(r: Array, g: Array) -> float:
    """r.g / (|r||g|) in float64; 1 if both are zero, 0 if one is."""
    norms = float(np.sqrt(r @ r) * np.sqrt(g @ g))
    if norms == 0.0:
        return 1.0 if not (r.any() or g.any()) else 0.0
    return float(r @ g) / norms


def sqnr_db(r: Array, d: Array) -> float | None:
    """10 log10(sum r^2 / sum d^2), means kept; inf without error, None without signal."""
    signal, noise = float(r @ r), float(d @ d)
    if noise == 0.0:
        return float("inf")
    return None if signal == 0.0 else float(10 * np.log10(signal / noise))


def compare_tensors(ref: Array, got: Array) -> TensorMetrics:
    """Metrics of two arrays of one shape and dtype, float64 accumulators."""
    bad = bad_elements(ref, got).ravel()
    with np.errstate(invalid="ignore"):  # raw memory read as float may hold signaling NaNs
        r, g = ref.astype(np.float64).ravel(), got.astype(np.float64).ravel()
    finite = np.isfinite(r) & np.isfinite(g)
    nonfinite = int(np.count_nonzero(~finite & bad))
    nan_equal = int(np.count_nonzero(np.isnan(r) & np.isnan(g)))
    r, g = np.where(finite, r, 0.0), np.where(finite, g, 0.0)
    d = g - r
    magnitude = np.abs(d)
    largest = float(magnitude.max(initial=0.0))
    if is_integer(ref):
        largest = float(integer_distance(ref, got).max(initial=0))
    signal, noise = float(r @ r), float(d @ d)
    nonzero = r != 0
    order = np.argsort(-magnitude[bad], kind="stable")[:WORST] if bad.any() else np.zeros(0, np.int64)
    where = np.flatnonzero(bad)[order]
    worst = [
        {
            "index": [int(i) for i in np.unravel_index(int(k), ref.shape)],
            "ref": ref.ravel()[k].item(),
            "got": got.ravel()[k].item(),
        }
        for k in where
    ]
    return TensorMetrics(
        n=ref.size,
        n_bad=int(np.count_nonzero(bad)),
        lsb_max=largest,
        bias=float(d.mean()) if d.size else 0.0,
        max_abs=largest,
        cosine=cosine(r, g),
        sqnr_db=sqnr_db(r, d),
        rel_l2=0.0 if noise == 0 else float(np.sqrt(noise / signal)) if signal else float("inf"),
        mre=float(np.mean(magnitude[nonzero] / np.abs(r[nonzero]))) if nonzero.any() else None,
        nan_equal=nan_equal,
        nonfinite=nonfinite,
        worst=worst,
    )
