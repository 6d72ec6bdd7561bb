"""Rounding and output stages against exact fractions: all 16-bit sums, all ties."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bittrue._core as _core
from bittrue.ops.arithmetic import output_stage, round_real, shift_right

MODES = [m for m in _core.rounding_names() if m != "add_half_trunc"]
ALL = np.arange(-32768, 32768)


def exact(v: Fraction, mode: str) -> int:
    return rounded(v.numerator, v.denominator, mode)


def rounded(v: int, d: int, mode: str) -> int:
    """round(v / d) in Python's integers."""
    low, rest = divmod(v, d)
    half = 2 * rest - d
    return (
        low
        + {
            "half_up": half >= 0,
            "half_down": half > 0,
            "half_away": half > 0 if v < 0 else half >= 0,
            "half_even": half > 0 or (half == 0 and low % 2 == 1),
            "floor": False,
            "ceil": rest > 0,
            "toward_zero": v < 0 and rest > 0,
        }[mode]
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shift", [0, 1, 2, 7, 15, 16, 20])
def test_all_16_bit_values(mode: str, shift: int) -> None:
    want = [rounded(int(v), 2**shift, mode) for v in ALL]
    attrs = {"requant": "shift", "shift": [shift], "rounding": mode}
    assert _core.output_stage(ALL.tolist(), attrs, "int32") == want
    assert shift_right(ALL, shift, mode).tolist() == want


@pytest.mark.parametrize("mode", MODES)
def test_all_ties_of_32_bits(mode: str) -> None:
    shift = 16
    ties = (np.arange(-(2**15), 2**15) * 2**shift + 2 ** (shift - 1)).tolist()
    around = [t + d for t in ties for d in (-1, 0, 1)]
    got = _core.output_stage(around, {"requant": "shift", "shift": [shift], "rounding": mode}, "int32")
    assert got == [rounded(v, 2**shift, mode) for v in around]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20),
    st.integers(-(2**31) + 1, 2**31 - 1),
    st.integers(0, 50),
    st.sampled_from(MODES),
    st.sampled_from(["exact64", "wrap32", "sat32"]),
)
def test_multiplier_shift(sums: list[int], m: int, n: int, mode: str, acc: str) -> None:
    def accumulated(v: int) -> int:
        if acc == "wrap32":
            return (v + 2**31) % 2**32 - 2**31
        return min(max(v, -(2**31)), 2**31 - 1) if acc == "sat32" else v

    want = [min(max(exact(Fraction(accumulated(v) * m, 2**n), mode), -(2**31)), 2**31 - 1) for v in sums]
    attrs: dict[str, Any] = {
        "requant": "multiplier_shift",
        "multiplier": [m],
        "shift": [n],
        "rounding": mode,
        "acc": acc,
    }
    assert _core.output_stage(sums, attrs, "int32") == want
    assert output_stage(np.asarray(sums), attrs, "int32").tolist() == want


def tflite(x: int, m: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier with double rounding, as TFLite and CMSIS-NN define it."""
    left, right = max(shift, 0), max(-shift, 0)
    product = (x << left) * m
    nudge = 2**30 if product >= 0 else 1 - 2**30
    high = int(Fraction(product + nudge, 2**31))  # truncates
    mask = (1 << right) - 1
    remainder, threshold = high & mask, (mask >> 1) + (high < 0)
    return (high >> right) + (remainder > threshold)


@settings(max_examples=500, deadline=None)
@given(st.integers(-(2**24), 2**24), st.integers(2**30, 2**31 - 1), st.integers(-20, 6))
def test_double_rounding_is_tflites(x: int, m: int, shift: int) -> None:
    attrs = {"requant": "double_round", "multiplier": [m], "shift": [-shift], "rounding": "half_away"}
    assert _core.output_stage([x], attrs, "int32") == [tflite(x, m, shift)]


@pytest.mark.parametrize(("scale", "want"), [(0.5, [0, 2, 2, 0, -2, -2]), (0.25, [0, 1, 1, 0, -1, -1])])
def test_float_scale_ties_to_even(scale: float, want: list[int]) -> None:
    attrs = {"requant": "float_scale", "scale": [scale], "rounding": "half_even"}
    assert _core.output_stage([1, 3, 5, -1, -3, -5], attrs, "int32") == want


@pytest.mark.parametrize("mode", MODES)
def test_floats_next_to_one_half(mode: str) -> None:
    """-0.49999997 less its floor is rounded to one half; the rounding must not take it for a tie."""
    for scale in (0.5, np.nextafter(np.float32(0.5), np.float32(0)), np.nextafter(np.float32(0.5), np.float32(1))):
        for sum_ in (-3, -1, 1, 3):
            real = np.float32(sum_) * np.float32(scale)
            want = [exact(Fraction(float(real)), mode)]
            attrs = {"requant": "float_scale", "scale": [float(scale)], "rounding": mode}
            assert _core.output_stage([sum_], attrs, "int32") == want
            assert round_real(np.array([real], np.float32), mode).tolist() == want
