"""Metrics of one tensor pair: exact counts first, then what the sums of the core's one pass give.

d = got - ref. Formulas: docs/verification.md. No number decides alone: each is blind to something.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, WithJsonSchema

from bittrue import _core

Array = np.ndarray[Any, Any]
# Non-finite numbers are stored as the strings "NaN", "Infinity", "-Infinity".
Number = Annotated[
    int | float | None, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]})
]
WORST = 16
COARSE = ((9, 16), (17, 32), (33, 64), (65, 128))
BIN_NAMES = [
    "< -128",
    *(f"-{high}..-{low}" for low, high in reversed(COARSE)),
    *map(str, range(-8, 9)),
    *(f"{low}..{high}" for low, high in COARSE),
    "> 128",
]


class TensorMetrics(BaseModel):
    """Of n elements; `lsb` numbers are steps of the integer grid (for floats only with a known scale), the others are
    in the unit of the tensor. None: not defined for this pair.

    lsb_hist: difference (or range of differences) -> count. sat_ref, sat_got: shares at the lowest and the highest
    value of the type. max_vendor: the smallest float tolerance that the vendor tester's rule would accept.
    vendor_refuses: elements with NaN or infinity that the tester calls an error. first_bad: place of the first
    differing element; worst: the largest differences. channels: per channel of axis `channels.axis`, only if something
    differs. mre is over ref != 0, `mre_zero_count` says how many are left out.
    """

    model_config = ConfigDict(extra="allow")
    n: int = 0
    n_bad: int = 0
    bad_fraction: float = 0.0
    lsb_max: Number = None
    lsb_mean: Number = None
    lsb_mean_abs: Number = None
    lsb_hist: dict[str, int] = {}
    ulp_max: Number = None
    max_abs: Number = 0.0
    max_rel: Number = None
    max_vendor: Number = None
    bias: Number = 0.0
    mse: Number = None
    rmse: Number = None
    mae: Number = None
    rel_l1: Number = None
    rel_l2: Number = None
    mre: Number = None
    mre_zero_count: int = 0
    cosine: Number = None
    sqnr_db: Number = None
    sqnr_centered_db: Number = None
    snr_power: Number = None
    sat_ref: list[float] | None = None
    sat_got: list[float] | None = None
    nan_count: list[int] = [0, 0]
    inf_count: list[int] = [0, 0]
    nan_equal: int = 0
    nonfinite: int = 0
    vendor_refuses: int = 0
    signed_zero: int = 0
    first_bad: list[int] | None = None
    worst: list[dict[str, Any]] = []
    channels: dict[str, Any] = {}


def is_integer(a: Array) -> bool:
    return a.dtype.kind in "iub"


def bad_elements(ref: Array, got: Array) -> Array:
    """Elements that differ; +0 equals -0, and NaN equals NaN whatever the payload."""
    differ: Array = ref != got
    if not is_integer(ref):
        differ &= ~(np.isnan(ref) & np.isnan(got))
    return differ


def decibel(signal: float, noise: float) -> float | None:
    """10 log10(signal / noise); inf without noise, None without signal and where a sum has overflowed."""
    if noise == 0.0:
        return math.inf
    if signal == 0.0 or math.isinf(signal) or math.isinf(noise):
        return None
    return 10 * math.log10(signal / noise)


def cosine(r: Array, g: Array) -> float:
    """r.g / (|r||g|) in float64; 1 if both are zero, 0 if one is."""
    return _cosine(float(r @ r), float(g @ g), float(r @ g))


def sqnr_db(r: Array, d: Array) -> float | None:
    """10 log10(sum r^2 / sum d^2), means kept; inf without error, None without signal."""
    return decibel(float(r @ r), float(d @ d))


def _cosine(rr: float, gg: float, rg: float) -> float:
    if rr == 0.0 or gg == 0.0:
        return 1.0 if rr == gg else 0.0
    return rg / (math.sqrt(rr) * math.sqrt(gg))


def _quotient(part: float, whole: float) -> float:
    return 0.0 if part == 0 else part / whole if whole else math.inf


def _comparable(a: Array) -> Array:
    """In a type the core compares: half precision is widened, which is exact."""
    if a.dtype == np.bool_:
        a = a.view(np.uint8)
    elif a.dtype == np.float16:
        a = a.astype(np.float32)
    return np.ascontiguousarray(a)


def compare_tensors(ref: Array, got: Array, *, axis: int = 1, scale: float = 0.0) -> TensorMetrics:
    """Metrics of two arrays of one shape and dtype (integers of any width, bool, float16/32/64).

    axis: the channel axis; a tensor without it is one channel. scale: the step of dequantized floats; if every element
    is a multiple of it, to 1e-3, the lsb numbers are given in steps.
    """
    shape = ref.shape
    has_channels = axis < len(shape) and ref.size > 0
    outer, channels, inner = 1, 1, ref.size
    if has_channels:
        outer, channels, inner = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    r, g = _comparable(ref), _comparable(got)
    c = _core.compare(r.reshape(-1), g.reshape(-1), (outer, channels, inner), scale, WORST)
    n, s, integer = c["n"], c["sums"], is_integer(ref)
    count, used = max(n, 1), max(c["finite"], 1)
    nonzero = c["finite"] - c["zeros"]
    metrics = TensorMetrics(
        n=n,
        n_bad=c["n_bad"],
        bad_fraction=c["n_bad"] / count,
        max_abs=c["distance"] if integer else c["max_abs"],
        bias=s["d"] / count,
        mse=s["dd"] / used,
        rmse=math.sqrt(s["dd"] / used),
        mae=s["abs_d"] / used,
        rel_l1=_quotient(s["abs_d"], s["abs_r"]),
        rel_l2=_quotient(math.sqrt(s["dd"]), math.sqrt(s["rr"])),
        mre=s["relative"] / nonzero if nonzero else None,
        mre_zero_count=c["zeros"],
        cosine=_cosine(s["rr"], s["gg"], s["rg"]),
        sqnr_db=decibel(s["rr"], s["dd"]),
        sqnr_centered_db=decibel(_centered(s["rr"], s["r"], used), _centered(s["dd"], s["d"], used)),
        snr_power=_quotient(s["dd"], s["rr"]),
        nan_count=c["nan_count"],
        inf_count=c["inf_count"],
        first_bad=_place(c["first_bad"], shape) if c["n_bad"] else None,
        worst=[_element(ref, got, k) for k in c["worst"]],
        **{k: c[k] for k in ("nan_equal", "nonfinite", "vendor_refuses", "signed_zero")},
    )
    if integer:
        metrics.sat_ref, metrics.sat_got = ([k / count for k in c[f"saturated_{side}"]] for side in ("ref", "got"))
    else:
        metrics.ulp_max, metrics.max_rel, metrics.max_vendor = c["max_ulp"], c["max_relative"], c["max_vendor"]
    if c["on_grid"] and not c["nonfinite"]:
        step = 1.0 if integer else scale
        metrics.lsb_max = metrics.max_abs if integer else float(np.rint(c["max_abs"] / step))
        metrics.lsb_mean, metrics.lsb_mean_abs = s["d"] / step / used, s["abs_d"] / step / used
        metrics.lsb_hist = {name: k for name, k in zip(BIN_NAMES, c["histogram"], strict=True) if k}
    if c["n_bad"]:
        table = c["channels"]
        metrics.channels = {
            "axis": axis if has_channels else None,
            "bad": table[:, 0].astype(np.int64).tolist(),
            "max_abs": [float(f"{v:.6g}") for v in table[:, 1]],
            "bias": [float(f"{v * channels / count:.6g}") for v in table[:, 2].tolist()],
            "sqnr_db": [_short(decibel(rr, dd)) for dd, rr in table[:, 3:].tolist()],
        }
    return metrics


def _centered(squares: float, total: float, n: int) -> float:
    """Sum of squared distances from the mean; what is only rounding of the subtraction counts as zero."""
    value = squares - total * total / n
    return 0.0 if value <= 1e-14 * squares else value


def _short(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else round(value, 2)


def _place(flat: int, shape: tuple[int, ...]) -> list[int]:
    return [int(i) for i in np.unravel_index(flat, shape)]


def _element(ref: Array, got: Array, flat: int) -> dict[str, Any]:
    return {
        "index": _place(flat, ref.shape),
        "ref": ref.reshape(-1)[flat].item(),
        "got": got.reshape(-1)[flat].item(),
    }
