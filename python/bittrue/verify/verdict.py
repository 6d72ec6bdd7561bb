"""Verdict of one tensor pair under a policy. The same function judges a live pair and a stored result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.verify.metrics import TensorMetrics, bad_elements, compare_tensors
from bittrue.verify.policy import FloatLimits, IntegerLimits, Match, MetricLimits, Policy, Rule, TensorFacts

Array = np.ndarray[Any, Any]
PASSING = {"EQUAL", "WITHIN", "SIMILAR", "EXTRA"}
OFF_BY = 2  # largest difference in steps that is called OFF_BY_LSB


@dataclass(frozen=True)
class Verdict:
    """word: EQUAL, WITHIN (inside the limits of `rule`), SIMILAR (only averages are), OFF_BY_LSB (integers, at most 2),
    DIFFERENT, NONFINITE, MISSING (in the reference only), EXTRA (in the run only) or NOT_COMPARABLE.

    detail: what is wrong, where the word does not say it. required: whether a failing word fails the run.
    """

    word: str
    rule: str = ""
    detail: str = ""
    required: bool = True


def judge_pair(
    ref: Array | None, got: Array | None, facts: TensorFacts, policy: Policy, *, axis: int = 1, scale: float = 0.0
) -> tuple[Verdict, TensorMetrics]:
    """Compares and judges. axis, scale: see `compare_tensors`."""
    required = is_required(facts, policy)
    if got is None:
        return Verdict("MISSING", detail="the reference has this tensor, the run does not", required=required), (
            TensorMetrics()
        )
    if ref is None:
        return Verdict("EXTRA", detail="the run has this tensor, the reference does not"), TensorMetrics()
    if ref.shape != got.shape:
        detail = f"shape {list(ref.shape)} in the reference, {list(got.shape)} in the run"
        return Verdict("NOT_COMPARABLE", detail=detail, required=required), TensorMetrics()
    if ref.dtype != got.dtype:
        detail = f"{ref.dtype} in the reference, {got.dtype} in the run"
        return Verdict("NOT_COMPARABLE", detail=detail, required=required), TensorMetrics()
    metrics = compare_tensors(ref, got, axis=axis, scale=scale)
    return judge_metrics(metrics, facts, policy, (ref, got)), metrics


def is_required(facts: TensorFacts, policy: Policy) -> bool:
    """Whether the policy lets this tensor fail the run."""
    if policy.base == "none":
        return False
    found = policy.rule_for(facts)
    if found and found[1].ignore:
        return False
    if facts.role == "output":
        return policy.require.outputs
    layers = policy.require.layers
    return layers == "all" or facts.matches(Match(name=layers))


def judge_metrics(
    m: TensorMetrics, facts: TensorFacts, policy: Policy, pair: tuple[Array, Array] | None = None
) -> Verdict:
    """Verdict of measured tensors. pair: the tensors themselves, if they are at hand; without them a float rule that
    combines several limits is decided only where one of them holds everywhere, and says so otherwise."""
    required = is_required(facts, policy)
    found = policy.rule_for(facts)
    label, rule = found or ("", None)
    if m.nan_equal and policy.base in ("exact", "audit") and not (rule and rule.allow_nan):
        detail = f"the reference has {m.nan_count[0]} NaN, {m.nan_equal} of them in the run as well; no rule allows it"
        return Verdict("NONFINITE", label, detail, required)
    if not m.n_bad:
        return Verdict("EQUAL", required=required)
    if policy.base == "bmrt" and not rule:
        label, rule = "bmrt", Rule(float=FloatLimits(accuracy=0.01), reason="the vendor tester's defaults")
    if m.nonfinite and not (policy.base == "bmrt" and m.vendor_refuses == 0):
        detail = f"NaN or infinity on one side, or infinities of different sign: {m.nonfinite} elements"
        return Verdict("NONFINITE", label, detail, required)
    detail = ""
    if rule:
        within, detail = _within(m, facts, rule, pair)
        if within:
            return Verdict("WITHIN", label, required=required)
    limits = rule.metrics if rule and rule.metrics else None
    if policy.base == "audit" and limits is None:
        limits = policy.metrics.output if facts.role == "output" else policy.metrics.layer
        label = label or f"{policy.name}: metrics"
    if limits is not None:
        missed = missed_limits(m, limits)
        if not missed:
            return Verdict("SIMILAR", label, required=required)
        detail = "; ".join(missed)
    integer = facts.dtype.startswith(("int", "uint"))
    off = integer and m.lsb_max is not None and m.lsb_max <= OFF_BY
    return Verdict("OFF_BY_LSB" if off else "DIFFERENT", label, detail, required)


def _within(m: TensorMetrics, facts: TensorFacts, rule: Rule, pair: tuple[Array, Array] | None) -> tuple[bool, str]:
    if facts.dtype.startswith(("int", "uint", "bool")):
        return (_integers_within(m, rule.integer), "") if rule.integer else (False, "")
    return _floats_within(m, rule.float, pair) if rule.float else (False, "")


def _integers_within(m: TensorMetrics, limits: IntegerLimits) -> bool:
    return (
        m.lsb_max is not None
        and m.lsb_max <= limits.lsb_max
        and m.bad_fraction <= limits.bad_fraction
        and (limits.bias_lsb is None or abs(m.lsb_mean or 0.0) <= limits.bias_lsb)
    )


def _floats_within(m: TensorMetrics, limits: FloatLimits, pair: tuple[Array, Array] | None) -> tuple[bool, str]:
    measured = {"abs": m.max_abs, "rel": m.max_rel, "ulp": m.ulp_max, "accuracy": m.max_vendor}
    given = {key: limit for key, limit in limits.model_dump().items() if limit}
    for key, limit in given.items():
        value = measured[key]
        if value is not None and value <= limit:
            return True, ""
    if len(given) < 2:
        return False, ""
    if pair is None:
        return False, f"the limits {', '.join(given)} together need the tensors, which a stored result does not hold"
    return _elements_within(*pair, limits), ""


def _elements_within(ref: Array, got: Array, limits: FloatLimits) -> bool:
    bad = bad_elements(ref, got)
    r, g = ref[bad].astype(np.float64), got[bad].astype(np.float64)
    d = np.abs(g - r)
    larger, smaller = np.maximum(np.abs(r), np.abs(g)), np.minimum(np.abs(r), np.abs(g))
    passed = (d <= limits.abs) | (d <= limits.rel * larger)
    if limits.ulp:
        passed |= np.abs(_ordinal(ref[bad]) - _ordinal(got[bad])) <= limits.ulp
    if limits.accuracy:
        with np.errstate(divide="ignore"):
            measure = np.where(larger <= 1, d, np.where(smaller < 1e-20, math.inf, d / smaller))
        passed |= measure <= limits.accuracy
    return bool(passed.all())


def _ordinal(a: Array) -> Array:
    """Position among the representable numbers, both zeros at 0."""
    bits = a.view({2: np.int16, 4: np.int32, 8: np.int64}[a.dtype.itemsize]).astype(np.int64)
    return np.where(bits < 0, -(bits & (2 ** (8 * a.dtype.itemsize - 1) - 1)), bits)


def missed_limits(m: TensorMetrics, limits: MetricLimits) -> list[str]:
    """The limits of averages that do not hold, in words."""
    bounds = [
        ("cosine", m.cosine, limits.cosine_min, 1),
        ("SQNR dB", m.sqnr_db, limits.sqnr_db_min, 1),
        ("rel_l2", m.rel_l2, limits.rel_l2_max, -1),
        ("mre", m.mre, limits.mre_max, -1),
        ("chebyshev", m.max_abs, limits.chebyshev_max, -1),
    ]
    missed = []
    for name, value, limit, sign in bounds:
        if limit is None:
            continue
        if value is None or math.isnan(value) or sign * value < sign * limit:
            shown = "undefined" if value is None else f"{value:.6g}"
            missed.append(f"{name} {shown}, limit {limit:g}")
    return missed
