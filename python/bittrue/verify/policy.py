"""What a comparison may tolerate: policy files (`bittrue-policy/1`, YAML). Default: nothing."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bittrue.documents import read_document
from bittrue.errors import UsageError

SCHEMA = "bittrue-policy/1"


class Strict(BaseModel):
    """Unknown keys are errors: a misspelt limit must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IntegerLimits(Strict):
    """All must hold. bad_fraction: share of elements that may differ at all; bias_lsb: |mean difference|."""

    lsb_max: int = Field(0, ge=0)
    bad_fraction: float = Field(1.0, ge=0, le=1)
    bias_lsb: float | None = Field(None, ge=0)


class FloatLimits(Strict):
    """An element passes if one of its limits holds: |d| <= abs, |d| <= rel * max(|r|, |g|), distance in representable
    numbers <= ulp, or the vendor tester's rule with this accuracy."""

    abs: float = Field(0.0, ge=0)
    rel: float = Field(0.0, ge=0)
    ulp: int = Field(0, ge=0)
    accuracy: float = Field(0.0, ge=0)


class MetricLimits(Strict):
    """Limits of averages: for audits of float against quantized, never for sign-off."""

    cosine_min: float | None = None
    sqnr_db_min: float | None = None
    rel_l2_max: float | None = None
    mre_max: float | None = None
    chebyshev_max: float | None = None


class Match(Strict):
    """Which tensors a rule is for; what is left out matches everything. Names are patterns with * and ?."""

    name: str | list[str] | None = None
    op: str | list[str] | None = None
    dtype: str | list[str] | None = None
    target: str | list[str] | None = None
    role: Literal["input", "output", "inner"] | None = None
    layers: tuple[int, int] | None = None


class Rule(Strict):
    """One relaxation, with its reason. allow_nan: equal NaN on both sides pass. ignore: reported, never a failure."""

    match: Match = Match()
    integer: IntegerLimits | None = None
    float: FloatLimits | None = None
    metrics: MetricLimits | None = None
    allow_nan: bool = False
    ignore: bool = False
    reason: str
    expires: date | None = None


class Require(Strict):
    """Which tensors of the reference the run must have: the outputs, and all layers or those of some patterns."""

    outputs: bool = True
    layers: Literal["all"] | list[str] = "all"


class BaseMetrics(Strict):
    """Limits that base `audit` puts on the outputs and on the layers."""

    output: MetricLimits = MetricLimits(cosine_min=0.99)
    layer: MetricLimits = MetricLimits(cosine_min=0.95)


class Policy(Strict):
    """base: exact (zero tolerance), audit (float against quantized: averages), bmrt (the vendor tester's rule with its
    default tolerances and its false passes), none (measure only). Later rules override earlier ones."""

    schema_: Literal["bittrue-policy/1"] = Field("bittrue-policy/1", alias="schema")
    name: str = "exact"
    base: Literal["exact", "audit", "bmrt", "none"] = "exact"
    require: Require = Require()
    rules: list[Rule] = []
    metrics: BaseMetrics = BaseMetrics()

    def summary(self) -> dict[str, Any]:
        """What a result stores of it: enough to see every relaxation and its reason."""
        content = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return {"name": self.name, "base": self.base, "sha256": digest, "rules": content.get("rules", [])}

    def rule_for(self, facts: TensorFacts) -> tuple[str, Rule] | None:
        """(label, rule) of the last rule that matches."""
        for number, rule in reversed(list(enumerate(self.rules, start=1))):
            if facts.matches(rule.match):
                return f"{self.name}: rule {number}", rule
        return None


class TensorFacts(Strict):
    """What rules match on."""

    name: str
    op: str = ""
    dtype: str = ""
    target: str = ""
    role: str = "inner"
    index: int = 0

    def matches(self, match: Match) -> bool:
        """Whether every key of the match that is given fits."""
        return (
            _fits(match.name, self.name)
            and _fits(match.op, self.op)
            and _fits(match.dtype, self.dtype)
            and _fits(match.target, self.target, folded=True)
            and match.role in (None, self.role)
            and (match.layers is None or match.layers[0] <= self.index <= match.layers[1])
        )


def _fits(pattern: str | list[str] | None, value: str, folded: bool = False) -> bool:
    if pattern is None:
        return True
    patterns = [pattern] if isinstance(pattern, str) else pattern
    if folded:
        patterns, value = [p.lower() for p in patterns], value.lower()
    return any(fnmatchcase(value, p) for p in patterns)


EXACT = Policy()


def tolerance(accuracy_f: float | None = None, accuracy_i: int = 0) -> Policy:
    """The policy of the two options of the vendor's tester: its float rule evaluated in double, and the largest integer
    difference. None and 0 mean bit-exact."""
    if accuracy_f is None and accuracy_i == 0:
        return EXACT
    given = [f"accuracy_f {accuracy_f:g}"] if accuracy_f is not None else []
    given += [f"accuracy_i {accuracy_i}"] if accuracy_i else []
    rule = Rule(
        integer=IntegerLimits(lsb_max=accuracy_i) if accuracy_i else None,
        float=FloatLimits(accuracy=accuracy_f) if accuracy_f is not None else None,
        reason="given on the command line",
    )
    return Policy(name=", ".join(given), rules=[rule])


def vendor_rule(accuracy_f: float | None = None, accuracy_i: int = 0) -> Policy:
    """The float rule of the vendor's tester with its default tolerance 0.01, evaluated in double, and what it passes
    although it is wrong (NaN expected, infinities of different sign)."""
    given = tolerance(0.01 if accuracy_f is None else accuracy_f, accuracy_i)
    return given.model_copy(update={"name": "vendor", "base": "bmrt"})


def load_policy(path: Path | str, today: date | None = None) -> Policy:
    """A policy file. Raises DataError for unreadable files, UsageError for unknown keys, bad values, relaxations
    without a reason, and rules that have expired."""
    path = Path(path)
    policy = read_document(path, SCHEMA, Policy, "policy")
    now = today or datetime.now(UTC).date()
    for number, rule in enumerate(policy.rules, start=1):
        if not rule.reason.strip():
            raise UsageError(f"{path}: rules.{number}.reason: a relaxation needs a reason")
        if rule.expires and rule.expires < now:
            raise UsageError(f"{path}: rules.{number}.expires: the rule expired on {rule.expires}")
    return policy
