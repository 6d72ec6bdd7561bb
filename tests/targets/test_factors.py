"""Decompositions of factors: the worked examples, and properties over the input space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.errors import UsageError
from bittrue.targets import factors as f
from bittrue.targets.loader import list_targets, load_target


def test_worked_examples() -> None:
    assert f.multiplier_and_shift(0.0123456, 32) == (13255987, 30)
    assert f.multiplier_and_right_shift(0.33333, 8) == (85, 8)
    assert f.multiplier_and_right_shift(0.83333, 8) == (107, 7)


@pytest.mark.parametrize(
    ("taps", "want"),
    [
        (2, (1, 1)),
        (3, (171, 9)),
        (4, (1, 2)),
        (5, (205, 10)),
        (7, (73, 9)),
        (9, (57, 9)),
        (25, (41, 10)),
        (49, (167, 13)),
        (225, (73, 14)),
    ],
)
def test_average_pool_factors(taps: int, want: tuple[int, int]) -> None:
    assert f.average_pool_factors(taps) == want


@given(st.integers(1, 225))
def test_average_pool_factors_are_eight_bits(taps: int) -> None:
    m, s = f.average_pool_factors(taps)
    assert m <= 255 and abs(m / 2**s - 1 / taps) <= 2.0 ** -(s + 1)


@given(st.floats(1e-6, 100))
def test_multipliers(s: float) -> None:
    for bits, limit in ((8, 127), (32, 2**31 - 1)):
        m, n = f.multiplier_and_shift(s, bits)
        assert abs(m) < limit and abs(m / 2.0**n - s) <= s / 60
    m, e = f.quantized_multiplier(s)
    assert 2**30 <= m < 2**31 and m / 2**31 * 2.0**e == pytest.approx(s, rel=1e-9)


@given(st.floats(1e-4, 60), st.floats(1e-3, 1), st.floats(1e-3, 1))
def test_the_largest_weight_fills_eight_bits(w: float, sx: float, sy: float) -> None:
    n = f.weight_shift(w, sx, sy)
    if 0 <= n < 31:
        assert 63.5 <= w * sx / sy * 2**n < 127
    assert f.weight_shift(200, 1, 1) == -1 and f.weight_shift(0, 1, 1) == 0


@given(st.floats(1e-3, 100))
def test_truncated_multiplier(s: float) -> None:
    m, r = f.truncated_multiplier(s)
    assert 0 <= m <= 127 and m == int(s * 2.0**r)


def test_profiles() -> None:
    names = [p.name for p in list_targets()]
    assert {"bm1684", "bm1684x"} <= set(names)
    assert load_target("BM1686").name == "bm1684x"
    for name in names:
        target = load_target(name)
        for op in target.lowering.INT8:
            assert "int8" in target.profile.ops[op], f"{name}: the profile does not list {op}"
    with pytest.raises(UsageError, match="no target"):
        load_target("bm9")


def test_nothing_of_bm1684x_claims_a_measurement() -> None:
    profile = load_target("bm1684x").profile
    labels = [r.evidence for r in profile.rules.values()] + [
        s.evidence for o in profile.ops.values() for s in o.values()
    ]
    assert "measured" not in labels
    assert np.all([label in ("source", "assumed", "documented") for label in labels])
