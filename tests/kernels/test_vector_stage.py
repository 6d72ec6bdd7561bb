"""The vector form of the output stage equals its scalar form: all 16-bit sums, all ties, the ends of int32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue import _core

pytestmark = pytest.mark.skipif(not _core.path_available("avx2"), reason="the vector stage needs AVX2")

MODES = [m for m in _core.rounding_names() if m != "add_half_trunc"]
INT32 = np.iinfo(np.int32)
LARGEST = 2**31


def interesting_sums(shifts: list[int], seed: int = 0) -> np.ndarray:
    """All 16-bit sums, the ends of int32, ties of the given shifts and their neighbours, random sums."""
    rng = np.random.default_rng(seed)
    parts = [np.arange(-(2**15), 2**15), np.arange(INT32.min, INT32.min + 40), np.arange(INT32.max - 40, INT32.max + 1)]
    for n in shifts:
        if 1 <= n <= 31:
            step = max(1, 2 ** (32 - n) // 4096)
            floor = np.arange(-(2 ** (31 - n)), 2 ** (31 - n), step, dtype=np.int64)
            tie = floor * 2**n + 2 ** (n - 1)
            parts.append(np.concatenate([tie - 1, tie, tie + 1]))
    parts.append(rng.integers(INT32.min, INT32.max, 20000, endpoint=True))
    return np.clip(np.concatenate(parts), INT32.min, INT32.max).astype(np.int32)


def check(attributes: dict[str, Any], dtype: str, sums: np.ndarray, *, vectorized: bool = True) -> None:
    want = _core.output_stage(sums.tolist(), attributes, dtype)
    largest = int(np.abs(sums.astype(np.int64)).max())
    for bias in ([0], [0] * sums.size):
        values, was_vectorized = _core.vector_stage(sums, attributes, dtype, bias, largest)
        np.testing.assert_array_equal(values.view(dtype), want, err_msg=f"{attributes} {dtype}")
        assert was_vectorized == vectorized, attributes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shift", [0, 1, 2, 7, 9, 15, 16, 30, 31])
def test_shift(mode: str, shift: int) -> None:
    attrs = {"requant": "shift", "shift": [shift], "rounding": mode}
    check(attrs, "int32", interesting_sums([shift]))
    check(attrs | {"zero_point": -7, "clamp_min": -100, "clamp_max": 101}, "int8", interesting_sums([shift]))


@pytest.mark.parametrize("shift", [1, 2, 7, 15, 16, 30, 31])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_shift_of_sums_that_leave_room_for_one_half(shift: int, dtype: str) -> None:
    room = INT32.max - 2 ** (shift - 1)
    sums = np.clip(interesting_sums([shift]), -room, room).astype(np.int32)
    check({"requant": "shift", "shift": [shift]}, dtype, sums)
    if dtype != "int32":  # its clamp less the zero point would leave 32 bits
        check({"requant": "shift", "shift": [shift], "zero_point": -77, "clamp_min": 5}, dtype, sums)


@pytest.mark.parametrize("zero_point", [-256, -255, 127, 255, 256, 70000])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_zero_points_of_any_size(zero_point: int, dtype: str) -> None:
    for requant in (
        {"requant": "none"},
        {"requant": "shift", "shift": [20]},
        {"requant": "float_scale", "scale": [1e-3]},
    ):
        check({**requant, "zero_point": zero_point, "clamp_min": 2, "clamp_max": 99}, dtype, interesting_sums([20]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("multiplier", "shift"),
    [
        (1, 1),
        (3, 8),
        (255, 6),
        (-77, 20),
        (2**30, 31),
        (2**31 - 1, 31),
        (1518500250, 38),
        (-(2**31), 45),
        (2**31 - 1, 62),
    ],
)
def test_multiplier_shift(mode: str, multiplier: int, shift: int) -> None:
    attrs = {"requant": "multiplier_shift", "multiplier": [multiplier], "shift": [shift], "rounding": mode}
    trailing = (multiplier & -multiplier).bit_length() - 1  # ties lie where the odd part of the multiplier hits a half
    sums = interesting_sums([shift - trailing])
    check(attrs, "int8", sums)
    check(attrs, "int32", sums)
    check(attrs | {"zero_point": 3, "clamp_min": 3}, "uint8", sums)
    check(attrs, "int16", (sums >> 16).astype(np.int32))  # sums whose product fits 32 bits with small multipliers


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shift", [0, 1, 7, 31])
@pytest.mark.parametrize("multiplier", [2**30, 1518500250, -(2**31) + 1])
def test_double_round(mode: str, shift: int, multiplier: int) -> None:
    attrs = {"requant": "double_round", "multiplier": [multiplier], "shift": [shift], "rounding": mode}
    check(attrs, "int8", interesting_sums([shift]))
    check(attrs | {"zero_point": 9}, "uint8", interesting_sums([shift]))


@pytest.mark.parametrize("mode", _core.rounding_names())
@pytest.mark.parametrize("scale", [0.5, 0.0031, 1.0, 2.0**-20 * 1.37, 0.5 - 2.0**-25, -0.25, 1e-40, 3e38, float("nan")])
def test_float_scale(mode: str, scale: float) -> None:
    attrs = {"requant": "float_scale", "scale": [scale], "rounding": mode}
    check(attrs, "int8", interesting_sums([]))
    check(attrs | {"zero_point": -5, "clamp_max": 90}, "int16", interesting_sums([]))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
@pytest.mark.parametrize("mode", MODES)
def test_every_rounding_to_every_type(mode: str, dtype: str) -> None:
    limits: dict[str, Any] = {"clamp_min": 0, "clamp_max": 2**24} if dtype == "int32" else {}
    sums = interesting_sums([9])
    for attrs in (
        {"requant": "none"},
        {"requant": "shift", "shift": [9]},
        {"requant": "double_round", "multiplier": [2**30], "shift": [8]},
        {"requant": "float_scale", "scale": [2.0**-9]} | limits,
    ):
        check(attrs | {"rounding": mode}, dtype, sums)


@pytest.mark.parametrize(
    "attrs",
    [
        {"requant": "shift", "shift": [-2]},
        {"requant": "shift", "shift": [40], "rounding": "half_away"},
        {"requant": "multiplier_shift", "multiplier": [3], "shift": [-1]},
        {"requant": "double_round", "multiplier": [-(2**31)], "shift": [3]},
        {"requant": "double_round", "multiplier": [5], "shift": [3], "high_rounding": "floor"},
        {
            "requant": "shift",
            "shift": [4],
            "rounding": "half_even",
            "zero_point": 3,
            "zero_point_order": "before_rounding",
        },
        {"requant": "float_scale", "scale": [0.1], "zero_point": 3, "zero_point_order": "before_rounding"},
    ],
)
def test_rules_without_a_vector_form(attrs: dict[str, Any]) -> None:
    check(attrs, "int8", interesting_sums([4]), vectorized=False)


def test_zero_point_before_rounding_where_it_commutes() -> None:
    for mode in ("half_up", "half_down", "floor", "ceil"):
        attrs = {"requant": "shift", "shift": [5], "rounding": mode, "zero_point": 11}
        check(attrs | {"zero_point_order": "before_rounding"}, "int8", interesting_sums([5]))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 32, 33, 63, 65])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_lengths_and_channels(count: int, dtype: str) -> None:
    rng = np.random.default_rng(count)
    sums = rng.integers(-(2**20), 2**20, count).astype(np.int32)
    bias = rng.integers(-(2**20), 2**20, count).astype(np.int32)
    multiplier, shift = rng.integers(2**30, 2**31, count).tolist(), rng.integers(36, 44, count).tolist()
    rule = {"requant": "multiplier_shift", "rounding": "half_away"}
    got, _ = _core.vector_stage(sums, rule | {"multiplier": multiplier, "shift": shift}, dtype, bias.tolist(), LARGEST)
    want = [
        _core.output_stage(
            [int(sums[i]) + int(bias[i])], rule | {"multiplier": [multiplier[i]], "shift": [shift[i]]}, dtype
        )
        for i in range(count)
    ]
    np.testing.assert_array_equal(got.view(dtype), np.ravel(want))
    one = rule | {"multiplier": multiplier[:1], "shift": shift[:1]}
    got, _ = _core.vector_stage(sums, one, dtype, [int(bias[0])], LARGEST)
    np.testing.assert_array_equal(
        got.view(dtype), _core.output_stage([int(s) + int(bias[0]) for s in sums], one, dtype)
    )


@settings(max_examples=100, deadline=None)
@given(
    multiplier=st.integers(-(2**31), 2**31 - 1),
    shift=st.integers(1, 62),
    mode=st.sampled_from(MODES),
    bits=st.integers(1, 31),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_multipliers(multiplier: int, shift: int, mode: str, bits: int, seed: int) -> None:
    sums = np.random.default_rng(seed).integers(-(2**bits), 2**bits, 500).astype(np.int32)
    attrs = {"requant": "multiplier_shift", "multiplier": [multiplier], "shift": [shift], "rounding": mode}
    check(attrs, "int8", sums)
    check(attrs, "int32", sums)
