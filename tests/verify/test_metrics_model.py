"""The core's one pass against a plain numpy model of the same numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bittrue.verify.compare import compare_tensors_by_name
from bittrue.verify.metrics import BIN_NAMES, compare_tensors
from bittrue.verify.policy import EXACT

DTYPES = (
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
    "float16",
    "float32",
    "float64",
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    r = draw(arrays(dtype, shape))
    other = draw(arrays(dtype, shape))
    keep = draw(arrays(np.bool_, shape))
    return r, np.where(keep, r, other).astype(dtype)


def bin_of(d: int) -> str:
    if -8 <= d <= 8:
        return str(d)
    for low, high in ((9, 16), (17, 32), (33, 64), (65, 128)):
        if low <= abs(d) <= high:
            return f"{low}..{high}" if d > 0 else f"-{high}..-{low}"
    return "> 128" if d > 0 else "< -128"


@given(pairs())
@settings(max_examples=300)
def test_counts_and_sums(pair: tuple[np.ndarray, np.ndarray]) -> None:
    r, g = pair
    m = compare_tensors(r, g)
    integer = r.dtype.kind in "iub"
    same = (r == g) | (np.zeros(r.shape, bool) if integer else np.isnan(r) & np.isnan(g))
    assert (m.n, m.n_bad) == (r.size, int(np.count_nonzero(~same)))
    if integer:
        steps = [int(b) - int(a) for a, b in zip(r.reshape(-1), g.reshape(-1), strict=True)]
        assert m.lsb_max == max(map(abs, steps), default=0)
        expected = {name: k for name in BIN_NAMES if (k := sum(bin_of(d) == name for d in steps))}
        assert m.lsb_hist == expected
        info = np.iinfo(np.uint8 if r.dtype == np.bool_ else r.dtype)
        for side, a in ((m.sat_ref, r), (m.sat_got, g)):
            assert side == [np.mean(a.astype(object) == v) if a.size else 0 for v in (info.min, info.max)]
    else:
        assert m.nan_count == [int(np.isnan(a).sum()) for a in (r, g)]
        assert m.inf_count == [int(np.isinf(a).sum()) for a in (r, g)]
        assert m.nonfinite == int(np.count_nonzero(~same & ~(np.isfinite(r) & np.isfinite(g))))
    finite = np.isfinite(r.astype(np.float64)) & np.isfinite(g.astype(np.float64))
    x, y = r.astype(np.float64)[finite], g.astype(np.float64)[finite]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        d = y - x
        checks = {
            "mse": (d**2).mean() if d.size else 0.0,
            "mae": np.abs(d).mean() if d.size else 0.0,
            "snr_power": quotient((d**2).sum(), (x**2).sum()),
            "rel_l1": quotient(np.abs(d).sum(), np.abs(x).sum()),
            "mre": np.mean(np.abs(d[x != 0]) / np.abs(x[x != 0])) if (x != 0).any() else None,
        }
    for name, value in checks.items():
        measured = getattr(m, name)
        if value is None or not math.isfinite(value):
            assert measured is None or not math.isfinite(measured) or abs(measured) > 1e300, name
        else:
            assert measured == pytest.approx(value, rel=1e-9), name


def quotient(part: float, whole: float) -> float:
    return 0.0 if part == 0 else part / whole if whole else math.inf


@given(pairs(), st.integers(0, 3))
def test_channels_and_worst(pair: tuple[np.ndarray, np.ndarray], axis: int) -> None:
    r, g = pair
    m = compare_tensors(r, g, axis=axis)
    bad = (r != g) & ~((r != r) & (g != g))
    if not bad.any():
        assert not m.channels and not m.worst
        return
    if axis < r.ndim:
        assert m.channels["bad"] == [int(c.sum()) for c in np.moveaxis(bad, axis, 0)]
    else:
        assert m.channels["bad"] == [int(bad.sum())] and m.channels["axis"] is None
    assert m.first_bad == np.argwhere(bad)[0].tolist()
    assert len(m.worst) == min(16, m.n_bad)
    magnitudes = []
    for w in m.worst:
        index = tuple(w["index"])
        assert bad[index] and (r[index].item() == w["ref"] or w["ref"] != w["ref"])
        magnitudes.append(
            abs(float(g[index]) - float(r[index])) if np.isfinite(float(g[index]) - float(r[index])) else np.inf
        )
    assert magnitudes == sorted(magnitudes, reverse=True)


@given(arrays(np.float32, 20), arrays(np.float32, 20))
def test_ulps(r: np.ndarray, g: np.ndarray) -> None:
    finite = np.isfinite(r) & np.isfinite(g)
    r, g = r[finite], g[finite]
    bits = [a.view(np.uint32).astype(np.int64) for a in (r, g)]
    position = [np.where(b >= 2**31, 2**31 - b, b) for b in bits]
    assert compare_tensors(r, g).ulp_max == np.abs(position[0] - position[1]).max(initial=0)


def test_all_check_vectors() -> None:
    m = compare_tensors(np.array([1.0, -2, 3, 0]), np.array([1.0, -1, 3, 1]))
    expected = {
        "cosine": 0.925820100, "rel_l2": 0.377964473, "rel_l1": 0.333333333, "mse": 0.5, "rmse": 0.707106781,
        "sqnr_db": 8.450980400, "sqnr_centered_db": 11.139433523, "mre": 0.166666667, "max_abs": 1, "bias": 0.5,
        "snr_power": 0.142857143,
    }  # fmt: skip
    for name, value in expected.items():
        assert getattr(m, name) == pytest.approx(value, abs=5e-10), name
    assert m.mre_zero_count == 1
    shifted = compare_tensors(np.arange(-4, 4.0), np.arange(-4, 4.0) + 1)
    assert shifted.sqnr_db == pytest.approx(7.403626895, abs=5e-10) and shifted.sqnr_centered_db == math.inf


def test_dequantized_floats_are_counted_in_steps() -> None:
    scale = np.float32(0.037)
    q, p = np.arange(-100, 100), np.arange(-100, 100) + np.tile([0, 1], 100)
    m = compare_tensors((q * scale).astype(np.float32), (p * scale).astype(np.float32), scale=float(scale))
    assert m.lsb_hist == {"0": 100, "1": 100} and m.lsb_max == 1
    off = compare_tensors(np.float32([0.5]), np.float32([0.51]), scale=float(scale))
    assert off.lsb_max is None and not off.lsb_hist


def test_large_tensors_are_summed_in_blocks() -> None:
    rng = np.random.default_rng(0)
    r = rng.integers(-128, 128, (2, 3, 300_000)).astype(np.int8)
    g = r.copy()
    g[1, 2, 250_000:] += 1
    m = compare_tensors(r, g)
    d = g.astype(np.int64) - r
    assert m.n_bad == 50_000 and m.channels["bad"] == [0, 0, 50_000]
    assert m.mse == (d**2).sum() / d.size
    assert compare_tensors_by_name({"x": r}, {"x": r}, EXACT)[0].verdict == "EQUAL"
