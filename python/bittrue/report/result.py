"""The stored result of a verification, comparison or audit: `bittrue-result/1`.

Every report (text, JSON, JUnit, HTML) is rendered from this object, so a stored result can be rendered again.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections import Counter
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bittrue import __version__
from bittrue.containers.bmodel import write_atomic
from bittrue.errors import DataError
from bittrue.verify.metrics import TensorMetrics
from bittrue.verify.policy import Policy, TensorFacts
from bittrue.verify.verdict import PASSING, Verdict, is_required, judge_metrics

SCHEMA = "bittrue-result/1"
# Verdicts that no policy changes; the last three are of two stored results.
NOT_FROM_METRICS = {"MISSING", "EXTRA", "NOT_COMPARABLE", "SAME", "BETTER", "WORSE"}
BORN = {"BORN_HERE", "BOTH"}  # origins of layers that are wrong on the reference's own inputs


class Cause(BaseModel):
    """One explanation of a layer's difference. cls, label: the structural class (docs/explain.md).

    status: PROVEN (the one change `hypothesis` makes all `elements` equal), SUPPORTED (the pattern fits `explained` of
    the differing elements) or UNKNOWN. change: node attribute -> value that `--write-profile` writes.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    cls: str = Field(alias="class")
    label: str = ""
    status: str
    hypothesis: str = ""
    explained: float = 0.0
    elements: int = 0
    change: dict[str, Any] = {}
    sentence: str = ""


class TensorResult(TensorMetrics):
    """One compared tensor: the fields of `TensorMetrics` and these.

    reads: the tensors its layer computes it from. layout: of the dump in memory, where declared; padding_set: padding
    bytes of it that are not zero. rule: the policy's rule that decided. detail: why, in words. required: whether the
    tensor can fail the run. origin: BORN_HERE, INHERITED, BOTH, MASKED, UNRESOLVED, or "" (clean or not examined);
    local: metrics of the layer simulated alone on the reference's own inputs; explains: later failures that inherit
    from this layer.
    """

    name: str
    index: int
    layer: str = ""
    op: str = ""
    role: str = "inner"
    reads: list[str] = Field(default_factory=list)
    evidence: str = ""
    shape: list[int]
    dtype: str
    layout: str = ""
    padding_set: int = 0
    scale: float | None = None
    zero_point: int | None = None
    verdict: str
    rule: str = ""
    detail: str = ""
    required: bool = True
    origin: str = ""
    region: list[str] = Field(default_factory=list)
    local: dict[str, Any] = Field(default_factory=dict)
    explains: list[str] = Field(default_factory=list)
    causes: list[Cause] = Field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.verdict in PASSING or not self.required

    @property
    def title(self) -> str:
        """How sentences name it."""
        return f"layer {self.index} {self.layer or self.name}"

    def apply(self, verdict: Verdict) -> None:
        """Takes a verdict over."""
        self.verdict, self.rule, self.detail = verdict.word, verdict.rule, verdict.detail
        self.required = verdict.required

    @property
    def facts(self) -> TensorFacts:
        """What policy rules match on; the target is the run's."""
        return TensorFacts(name=self.name, op=self.op, dtype=self.dtype, role=self.role, index=self.index)


def failure_sentence(t: TensorResult) -> str:
    """What is wrong with a failing tensor, and why if that is known."""
    kind = ", ".join(part for part in (t.op or t.dtype, t.origin) if part)
    counts = f"{t.verdict}, {t.n_bad} of {t.n} elements differ, largest difference {t.max_abs:g}" if t.n else t.verdict
    sentence = f"{t.title} ({kind}): {counts}" + (f"; {t.detail}" if t.detail else "")
    return f"{sentence}; {t.causes[0].sentence}" if t.causes else sentence


class StageResult(BaseModel):
    """One stage of a network."""

    model_config = ConfigDict(extra="allow")
    name: str
    stage: int
    tensors: list[TensorResult] = []
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and all(t.passed for t in self.tensors) and any(t.n for t in self.tensors)


class Summary(BaseModel):
    """Totals of a result."""

    model_config = ConfigDict(extra="allow")
    compared: int = 0
    equal: int = 0
    within: int = 0
    failed: int = 0
    missing: int = 0
    extra: int = 0
    elements: int = 0
    mismatches: int = 0
    first_divergent: str | None = None
    first_visible: str | None = None
    passed: bool = False
    sentence: str = ""


class Result(BaseModel):
    """See the module."""

    model_config = ConfigDict(extra="allow")
    schema_: str = Field(default=SCHEMA, alias="schema")
    kind: str
    time: str = ""
    tool: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    model: dict[str, Any] = {}
    target: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    inputs: list[dict[str, Any]] = []
    nets: list[StageResult] = []
    audit: dict[str, Any] | None = None
    profile: dict[str, Any] | None = None
    matches: list[dict[str, Any]] = []
    summary: Summary = Summary()
    warnings: list[str] = []

    def judge(self, policy: Policy) -> None:
        """Judges the stored metrics again under another policy."""
        for net in self.nets:
            for t in net.tensors:
                facts = t.facts.model_copy(update={"target": str(self.target.get("name", ""))})
                if t.verdict in NOT_FROM_METRICS:
                    t.required = is_required(facts, policy)
                else:
                    t.apply(judge_metrics(t, facts, policy))
        self.policy = policy.summary()
        self.summarize()

    def add_stage(self, name: str, stage: int, tensors: list[TensorResult], error: str = "") -> None:
        """Adds a stage and renews the summary."""
        self.nets.append(StageResult(name=name, stage=stage, tensors=tensors, error=error))
        self.summarize()

    @property
    def failing(self) -> list[TensorResult]:
        return [t for n in self.nets for t in n.tensors if not t.passed]

    @property
    def first_visible(self) -> TensorResult | None:
        """The first failing layer. Layers come in execution order; network outputs repeat the last ones."""
        failing = self.failing
        return next((t for t in failing if t.role == "inner"), failing[0] if failing else None)

    @property
    def first_divergent(self) -> TensorResult | None:
        """The first failing layer that is wrong on the reference's own inputs, or else the first visible one."""
        return next((t for t in self.failing if t.origin in BORN), self.first_visible)

    def summarize(self) -> None:
        """Recomputes the totals from the stages."""
        tensors = [t for n in self.nets for t in n.tensors]
        first, visible = self.first_divergent, self.first_visible
        words = Counter(t.verdict for t in tensors)
        s = Summary(
            compared=sum(1 for t in tensors if t.n),
            equal=words["EQUAL"],
            within=words["WITHIN"],
            failed=len(self.failing),
            missing=words["MISSING"],
            extra=words["EXTRA"],
            elements=sum(t.n for t in tensors),
            mismatches=sum(t.n_bad for t in tensors),
            passed=bool(self.nets) and all(n.passed for n in self.nets),
        )
        errors = [f"network {n.name} stage {n.stage}: {n.error}" for n in self.nets if n.error]
        if first and visible:
            s.first_divergent, s.first_visible = first.title, visible.title
            s.sentence = failure_sentence(first)
        elif errors:
            s.sentence = errors[0]
        elif s.passed:
            s.sentence = f"{s.equal} of {s.compared} tensors equal: {s.mismatches} of {s.elements} elements differ"
            similar = words["SIMILAR"]
            s.sentence += f", {s.within} tensors inside the tolerance" if s.within else ""
            s.sentence += f", {similar} similar by their averages only" if similar else ""
        self.summary = s

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, non-finite numbers as strings."""
        clean: dict[str, Any] = _finite(self.model_dump(by_alias=True))
        return clean

    def to_json(self) -> str:
        """The stored form as text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Writes JSON under a temporary name, then renames it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, self.to_json().encode())

    @staticmethod
    def load(path: Path) -> Result:
        """A stored result. Raises DataError for other files and other major versions of the schema."""
        try:
            content = json.loads(path.read_text())
            if content.get("schema") != SCHEMA:
                raise DataError(f"{path}: schema '{content.get('schema')}', expected '{SCHEMA}'")
            return Result.model_validate(content)
        except (OSError, ValueError, AttributeError, ValidationError) as e:
            raise DataError(f"{path}: not a stored result ({type(e).__name__})") from e


def json_schema() -> str:
    """The JSON Schema of a stored result, as text; result.schema.json beside this file is a copy."""
    return json.dumps(Result.model_json_schema(by_alias=True), indent=1) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def new_result(kind: str, *, name: str, path: str = "", threads: int = 0) -> Result:
    """An empty result with tool, environment and time filled in."""
    packages = ("numpy", "onnx", "onnxruntime")
    return Result(
        kind=kind,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        tool={"version": __version__, "path": path, "threads": threads},
        environment={
            "os": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cpus": os.cpu_count() or 1,
            "python": platform.python_version(),
            "packages": {p: metadata.version(p) for p in packages},
        },
        model={"name": name},
    )


def evidence_counts(labels: list[str]) -> dict[str, int]:
    """How many layers carry each evidence label."""
    return dict(Counter(label for label in labels if label))
