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
from bittrue.verify.verdict import PASSING

SCHEMA = "bittrue-result/1"
Number = float | str | None  # non-finite numbers are the strings "NaN", "Infinity", "-Infinity"


class TensorResult(BaseModel):
    """One compared tensor."""

    model_config = ConfigDict(extra="allow")
    name: str
    index: int
    layer: str = ""
    op: str = ""
    role: str = "inner"
    evidence: str = ""
    shape: list[int]
    dtype: str
    verdict: str
    n: int = 0
    n_bad: int = 0
    lsb_max: Number = 0
    bias: Number = 0
    max_abs: Number = 0
    cosine: Number = None
    sqnr_db: Number = None
    rel_l2: Number = None
    mre: Number = None
    worst: list[dict[str, Any]] = []

    @property
    def passed(self) -> bool:
        return self.verdict in PASSING


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
    failed: int = 0
    missing: int = 0
    elements: int = 0
    mismatches: int = 0
    first_divergent: str | None = None
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
    inputs: list[dict[str, Any]] = []
    nets: list[StageResult] = []
    audit: dict[str, Any] | None = None
    profile: dict[str, Any] | None = None
    matches: list[dict[str, Any]] = []
    summary: Summary = Summary()
    warnings: list[str] = []

    def add_stage(self, name: str, stage: int, tensors: list[TensorResult], error: str = "") -> None:
        """Adds a stage and renews the summary."""
        self.nets.append(StageResult(name=name, stage=stage, tensors=tensors, error=error))
        self.summarize()

    def summarize(self) -> None:
        """Recomputes the totals from the stages."""
        tensors = [t for n in self.nets for t in n.tensors]
        failing = [t for t in tensors if not t.passed]
        # Layers come in execution order; network outputs repeat the last ones.
        first = next((t for t in failing if t.role == "inner"), failing[0] if failing else None)
        s = Summary(
            compared=sum(1 for t in tensors if t.n),
            equal=sum(1 for t in tensors if t.verdict == "EQUAL"),
            failed=len(failing),
            missing=sum(1 for t in tensors if t.verdict == "MISSING"),
            elements=sum(t.n for t in tensors),
            mismatches=sum(t.n_bad for t in tensors),
            passed=bool(self.nets) and all(n.passed for n in self.nets),
        )
        if first:
            s.first_divergent = f"layer {first.index} {first.layer or first.name}"
            s.sentence = (
                f"{s.first_divergent} ({first.op or first.dtype}): {first.verdict}, {first.n_bad} of {first.n} "
                f"elements differ, largest difference {first.lsb_max}"
            )
        elif s.passed:
            within = sum(1 for t in tensors if t.verdict == "WITHIN")
            s.sentence = f"{s.equal} of {s.compared} tensors equal: {s.mismatches} of {s.elements} elements differ"
            if within:
                s.sentence += f", {within} tensors inside the tolerance"
        self.summary = s

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, non-finite numbers as strings."""
        clean: dict[str, Any] = _finite(self.model_dump(by_alias=True))
        return clean

    def save(self, path: Path) -> None:
        """Writes JSON under a temporary name, then renames it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n").encode())

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
