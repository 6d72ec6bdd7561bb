"""Metrics and verdicts: check vectors to nine digits, edge cases, guard rails."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bittrue.audit.statistics import mcnemar, wilson
from bittrue.containers.archive import open_archive
from bittrue.errors import DataError
from bittrue.verify.compare import compare
from bittrue.verify.metrics import compare_tensors
from bittrue.verify.policy import EXACT, Policy, TensorFacts, tolerance
from bittrue.verify.verdict import judge_pair


def judge(ref: np.ndarray | None, got: np.ndarray | None, policy: Policy = EXACT) -> str:
    seen = ref if ref is not None else got
    assert seen is not None
    return judge_pair(ref, got, TensorFacts(name="x", dtype=str(seen.dtype)), policy)[0].word


def test_check_vectors() -> None:
    m = compare_tensors(np.array([1.0, -2, 3, 0]), np.array([1.0, -1, 3, 1]))
    assert m.cosine == pytest.approx(0.925820100, abs=5e-10)
    assert m.rel_l2 == pytest.approx(0.377964473, abs=5e-10)
    assert m.sqnr_db == pytest.approx(8.450980400, abs=5e-10)
    assert m.mre == pytest.approx(0.166666667, abs=5e-10)
    assert (m.max_abs, m.bias, m.n_bad) == (1, 0.5, 2)
    shifted = compare_tensors(np.arange(-4, 4.0), np.arange(-4, 4.0) + 1)
    assert shifted.sqnr_db == pytest.approx(7.403626895, abs=5e-10)


def test_edges() -> None:
    zero, one = np.zeros(3), np.ones(3)
    assert compare_tensors(zero, zero).cosine == 1 and compare_tensors(zero, one).cosine == 0
    assert compare_tensors(one, one).sqnr_db == math.inf
    assert compare_tensors(zero, one).sqnr_db is None and compare_tensors(zero, one).mre is None


@given(arrays(np.int8, 20), arrays(np.int8, 20))
def test_integers(r: np.ndarray, g: np.ndarray) -> None:
    m = compare_tensors(r, g)
    d = g.astype(int) - r.astype(int)
    assert (m.n_bad, m.lsb_max, m.bias) == (np.count_nonzero(d), np.abs(d).max(), d.mean())
    verdict = judge(r, g)
    assert verdict == ("EQUAL" if not d.any() else "OFF_BY_LSB" if np.abs(d).max() <= 2 else "DIFFERENT")
    assert judge(r, g, tolerance(accuracy_i=255)) in ("EQUAL", "WITHIN")


@pytest.mark.parametrize(
    ("ref", "got", "verdict"),
    [
        (np.float32([1, np.nan]), np.float32([1, np.nan]), "NONFINITE"),
        (np.float32([1, np.nan]), np.float32([1, 2]), "NONFINITE"),
        (np.float32([np.inf]), np.float32([-np.inf]), "NONFINITE"),
        (np.float32([np.inf]), np.float32([np.inf]), "EQUAL"),
        (np.float32([0.0]), np.float32([-0.0]), "EQUAL"),
        (np.zeros(2, np.int8), np.zeros(2, np.uint8), "NOT_COMPARABLE"),
        (np.zeros(2, np.int8), np.zeros((2, 1), np.int8), "NOT_COMPARABLE"),
        (np.zeros(2, np.int8), None, "MISSING"),
        (None, np.zeros(2, np.int8), "EXTRA"),
        (np.int32([-(2**31)]), np.int32([2**31 - 1]), "DIFFERENT"),
    ],
)
def test_verdicts(ref: np.ndarray | None, got: np.ndarray | None, verdict: str) -> None:
    assert judge(ref, got, tolerance(accuracy_i=1)) == verdict


def test_the_float_rule() -> None:
    def within(e: float, g: float) -> bool:
        return judge(np.float32([e]), np.float32([g]), tolerance(accuracy_f=0.01)) == "WITHIN"

    assert not within(1.5, 1.516) and within(1.5, 1.5149) and not within(0.5, 0.511) and within(0.5, 0.509)


@given(st.integers(0, 40), st.integers(0, 40))
def test_statistics(lost: int, gained: int) -> None:
    assert 0 < mcnemar(lost, gained) <= 1
    low, high = wilson(lost, lost + gained)
    assert 0 <= low <= high <= 1


def test_worked_statistics() -> None:
    assert mcnemar(36, 0) == pytest.approx(2.9e-11, rel=0.01)
    assert wilson(858, 1000) == pytest.approx((0.8350, 0.8783), abs=5e-5)


def test_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.zeros(2))
    np.savez(tmp_path / "b.npz", x=np.arange(3))
    result = compare(tmp_path / "a.npz", tmp_path / "b.npz")
    assert [t.verdict for t in result.nets[0].tensors] == ["EQUAL", "MISSING"] and not result.summary.passed
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(DataError, match="nothing was compared"):
        compare(tmp_path / "empty.npz", tmp_path / "empty.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK")
    for name in ("bad.npz", "missing.npz", "a.txt"):
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            open_archive(tmp_path / name)


@pytest.mark.parametrize(
    ("ref", "got"),
    [
        (np.int64([2**53]), np.int64([2**53 + 1])),
        (np.int64([2**63 - 1]), np.int64([2**63 - 300])),
        (np.uint64([2**64 - 1]), np.uint64([2**64 - 2])),
        (np.int64([-(2**63)]), np.int64([2**63 - 1])),
    ],
)
def test_wide_integers_are_compared_exactly(ref: np.ndarray, got: np.ndarray) -> None:
    assert judge(ref, got) in ("OFF_BY_LSB", "DIFFERENT")
    distance = abs(int(ref[0]) - int(got[0]))
    assert judge(ref, got, tolerance(accuracy_i=distance)) == "WITHIN"
    assert judge(ref, got, tolerance(accuracy_i=distance - 1)) != "WITHIN"


def test_duplicate_names_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive, pytest.warns(UserWarning):
        archive.writestr("x.npy", archive.read("x.npy"))
    with pytest.raises(DataError, match="'x' stands twice"):
        open_archive(tmp_path / "a.npz")


def test_pairs_that_cannot_be_compared_fail(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    assert not compare(tmp_path / "a.npz", tmp_path / "b.npz").summary.passed
