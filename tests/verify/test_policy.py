"""Policies: what may differ, files and their errors, judging live and stored."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bittrue import api
from bittrue.errors import DataError, UsageError
from bittrue.report.result import Result
from bittrue.verify.compare import compare_tensors_by_name
from bittrue.verify.policy import FloatLimits, IntegerLimits, Match, Policy, Rule, TensorFacts, load_policy, tolerance
from bittrue.verify.verdict import judge_pair

SIGNOFF = """
schema: bittrue-policy/1
name: signoff
rules:
  - match: {name: "conv*", dtype: int8}
    integer: {lsb_max: 1, bad_fraction: 0.3, bias_lsb: 0.5}
    reason: dump of firmware 3, under investigation
    expires: 2030-01-01
  - match: {op: [Softmax], dtype: float32}
    float: {abs: 1.0e-3}
    reason: special functions are modelled to 1e-3
  - match: {name: debug}
    ignore: true
    reason: not part of the product
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def verdict(policy: Policy, ref: list[float], got: list[float], dtype: str, **facts: str) -> str:
    about = TensorFacts(name=facts.pop("name", "x"), dtype=dtype, **facts)
    return judge_pair(np.array(ref, dtype), np.array(got, dtype), about, policy)[0].word


def test_rules_are_for_what_they_match(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, SIGNOFF), today=date(2027, 1, 1))
    ref, one_off, two_off = [0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0]
    assert verdict(policy, ref, one_off, "int8", name="conv1") == "WITHIN"
    assert verdict(policy, ref, two_off, "int8", name="conv1") == "OFF_BY_LSB"
    assert verdict(policy, ref, [1, 1, 0, 0], "int8", name="conv1") == "OFF_BY_LSB"  # more than 30 % differ
    assert verdict(policy, ref, one_off, "int8", name="pool") == "OFF_BY_LSB"
    assert verdict(policy, [1.0], [1.0005], "float32", op="Softmax") == "WITHIN"
    assert verdict(policy, [1.0], [1.0005], "float32", op="Sigmoid") == "DIFFERENT"


def test_ignored_tensors_are_reported_but_do_not_fail(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, SIGNOFF), today=date(2027, 1, 1))
    ref, got = {"debug": np.zeros(3, np.int8), "y": np.ones(2)}, {"debug": np.ones(3, np.int8), "y": np.ones(2)}
    debug, y = compare_tensors_by_name(ref, got, policy)
    assert debug.verdict == "OFF_BY_LSB" and debug.passed and y.verdict == "EQUAL"
    missing = compare_tensors_by_name(ref, {"y": np.ones(2)}, policy)[0]
    assert missing.verdict == "MISSING" and missing.passed


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("schema: other/1", UsageError, "schema"),
        ("[1, 2", UsageError, "YAML"),
        ("schema: bittrue-policy/1\nbase: strict", UsageError, "base"),
        ("schema: bittrue-policy/1\nrules: [{integer: {lsb: 1}, reason: x}]", UsageError, "lsb"),
        ("schema: bittrue-policy/1\nrules: [{integer: {lsb_max: 1}}]", UsageError, "reason"),
        ("schema: bittrue-policy/1\nrules: [{integer: {lsb_max: 1}, reason: ' '}]", UsageError, "reason"),
        ("schema: bittrue-policy/1\nrules: [{reason: x, expires: 2020-01-01}]", UsageError, "expired"),
        ("schema: bittrue-policy/1\nname: a\nname: b", UsageError, "'name' stands twice"),
    ],
)
def test_bad_policies(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_policy(write(tmp_path, text))
    with pytest.raises(DataError, match=r"no\.yaml"):
        load_policy(tmp_path / "no.yaml")


@given(
    arrays(np.float32, 12, elements=st.floats(-3, 3, width=32)),
    arrays(np.float32, 12, elements=st.floats(-3, 3, width=32)),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.sampled_from([0, 10, 2**24]),
)
def test_float_limits_hold_element_by_element(r: np.ndarray, g: np.ndarray, abs_: float, rel: float, ulp: int) -> None:
    policy = Policy(rules=[Rule(float=FloatLimits(abs=abs_, rel=rel, ulp=ulp), reason="test")])
    d = np.abs(g.astype(np.float64) - r)
    steps = np.abs(ordinal(r) - ordinal(g))
    passed = (d <= abs_) | (d <= rel * np.maximum(np.abs(r), np.abs(g)).astype(np.float64)) | (steps <= ulp)
    word = judge_pair(r, g, TensorFacts(name="x", dtype="float32"), policy)[0].word
    assert (word in ("EQUAL", "WITHIN")) == bool(passed.all())


def ordinal(a: np.ndarray) -> np.ndarray:
    """Counted through the sorted bit patterns."""
    bits = a.view(np.uint32).astype(np.int64)
    return np.where(bits >= 2**31, 2**31 - bits, bits)


@given(arrays(np.int8, 30), arrays(np.int8, 30), st.integers(0, 255), st.floats(0, 1))
def test_a_stored_result_is_judged_like_the_live_pair(r: np.ndarray, g: np.ndarray, lsb: int, fraction: float) -> None:
    policy = Policy(rules=[Rule(integer=IntegerLimits(lsb_max=lsb, bad_fraction=fraction), reason="test")])
    live = compare_tensors_by_name({"x": r}, {"x": g}, policy)[0]
    stored = Result(kind="compare")
    stored.add_stage("x", 0, compare_tensors_by_name({"x": r}, {"x": g}, Policy()))
    reread = Result.model_validate(stored.to_dict())
    reread.judge(policy)
    assert (reread.nets[0].tensors[0].verdict, reread.summary.passed) == (live.verdict, live.passed)


def test_limits_that_need_the_tensors_say_so() -> None:
    policy = Policy(rules=[Rule(float=FloatLimits(abs=0.1, rel=0.1), reason="test")])
    ref, got = np.float32([0.0, 10.0]), np.float32([0.05, 10.5])
    assert judge_pair(ref, got, TensorFacts(name="x", dtype="float32"), policy)[0].word == "WITHIN"
    stored = Result(kind="compare")
    stored.add_stage("x", 0, compare_tensors_by_name({"x": ref}, {"x": got}, Policy()))
    stored.judge(policy)
    assert stored.nets[0].tensors[0].verdict == "DIFFERENT"
    assert "stored result does not hold" in stored.nets[0].tensors[0].detail


@pytest.mark.parametrize(
    ("ref", "got", "exact", "bmrt"),
    [
        ([np.nan], [1.0], "NONFINITE", "WITHIN"),
        ([np.nan], [np.nan], "NONFINITE", "EQUAL"),
        ([np.inf], [-np.inf], "NONFINITE", "WITHIN"),
        ([1.0], [np.nan], "NONFINITE", "NONFINITE"),
        ([1.5], [1.5149], "DIFFERENT", "WITHIN"),
    ],
)
def test_false_passes_of_the_vendor_are_a_choice(ref: list[float], got: list[float], exact: str, bmrt: str) -> None:
    assert verdict(Policy(), ref, got, "float32") == exact
    assert verdict(Policy(base="bmrt"), ref, got, "float32") == bmrt


def test_nan_can_be_allowed_by_name() -> None:
    policy = Policy(rules=[Rule(match=Match(name="x"), allow_nan=True, reason="masked elements are NaN")])
    assert verdict(policy, [np.nan, 1], [np.nan, 1], "float32") == "EQUAL"


def test_audits_are_judged_by_averages() -> None:
    audit = Policy(base="audit")
    r = np.linspace(-1, 1, 100)
    assert verdict(audit, list(r), list(r + 1e-3), "float32", role="output") == "SIMILAR"
    assert verdict(audit, list(r), list(-r), "float32") == "DIFFERENT"


def test_measuring_only_never_fails() -> None:
    result = Result(kind="compare")
    result.add_stage("x", 0, compare_tensors_by_name({"x": np.ones(3)}, {"x": np.zeros(3)}, Policy(base="none")))
    assert result.summary.passed and result.nets[0].tensors[0].verdict == "DIFFERENT"


def test_both_kinds_of_limits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one of them"):
        api.policy_of(write(tmp_path, SIGNOFF), 0.1, 0)
    assert tolerance() == Policy()
