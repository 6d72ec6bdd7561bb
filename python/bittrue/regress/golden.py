"""Golden data: what a compiled model computes today, kept so that any later drift is seen, measured and explained.

A golden folder holds `golden.json` (hashes of the model, every input, output and layer, the rules of the target, the
tool that made it, and why it was ever replaced), `inputs.npz`, `outputs.npz`, the user's `profile.yaml` if there was
one and, on request, `layers.npz`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bittrue import __version__
from bittrue.compiler import digest
from bittrue.containers.archive import open_archive
from bittrue.containers.context_dir import file_sha256, save_npz
from bittrue.documents import first_error
from bittrue.errors import DataError, UsageError
from bittrue.regress.subject import Origin, Subject
from bittrue.report.result import Result, TensorResult, new_result
from bittrue.runtime.session import Session
from bittrue.verify.compare import compare_tensors_by_name
from bittrue.verify.graph import GraphComparison
from bittrue.verify.policy import EXACT

Array = np.ndarray[Any, Any]
SCHEMA = "bittrue-golden/1"
MANIFEST, INPUTS, OUTPUTS, LAYERS = "golden.json", "inputs.npz", "outputs.npz", "layers.npz"
PROFILE = "profile.yaml"
MADE_OF = ("model_sha256", "table_sha256", "profile_sha256", "method", "samples")  # what a model was compiled from


class TensorRecord(BaseModel):
    """SHA-256 of a tensor's bytes (row-major), and what it is."""

    model_config = ConfigDict(extra="forbid")
    sha256: str
    dtype: str
    shape: list[int]
    layer: str = ""
    op: str = ""


class Change(BaseModel):
    """A tensor that a promotion changed. old, new: its hash, "" where it did not exist."""

    model_config = ConfigDict(extra="forbid")
    name: str
    old: str
    new: str


class Promotion(BaseModel):
    """Why golden data was replaced, by which tool, and what changed."""

    model_config = ConfigDict(extra="forbid")
    time: str
    reason: str
    tool: str
    old_model_sha256: str
    new_model_sha256: str
    changed: list[Change]


class Manifest(BaseModel):
    """golden.json. source: the compiled model, relative to the golden folder. net, stage: which of it. arith,
    profile_sha256: the user's changes of the target's rules. arithmetic: all rules. compiled: what the model was
    compiled from."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    schema_: str = Field(SCHEMA, alias="schema")
    source: str
    net: str | None = None
    stage: int = 0
    model_sha256: str
    compiled: dict[str, Any] = {}
    target: str
    precision: str
    arith: dict[str, str] = {}
    profile_sha256: str = ""
    arithmetic: dict[str, Any]
    evidence: dict[str, int]
    tool: str
    path: str
    made: str
    inputs: dict[str, TensorRecord]
    outputs: dict[str, TensorRecord]
    layers: dict[str, TensorRecord]
    history: list[Promotion] = []

    @property
    def tensors(self) -> dict[str, TensorRecord]:
        """Layers in execution order, then outputs that are not layers."""
        return {**self.layers, **{n: r for n, r in self.outputs.items() if n not in self.layers}}


class Golden:
    """An opened golden folder. Raises DataError for missing or broken files, and for stored tensors that do not have
    the hash in the manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            content = json.loads((folder / MANIFEST).read_text())
            if not isinstance(content, dict) or content.get("schema") != SCHEMA:
                raise DataError(f"{folder / MANIFEST}: not golden data: the key 'schema' must be '{SCHEMA}'")
            self.manifest = Manifest.model_validate(content)
        except ValidationError as e:
            raise DataError(f"{folder / MANIFEST}: {first_error(e)}") from e
        except (OSError, ValueError) as e:
            raise DataError(f"{folder / MANIFEST}: cannot be read ({type(e).__name__})") from e
        self.inputs = self._stored(INPUTS, self.manifest.inputs)
        self.outputs = self._stored(OUTPUTS, self.manifest.outputs)
        has_layers = (folder / LAYERS).is_file()
        self.layers = self._stored(LAYERS, self.manifest.layers) if has_layers else {}
        if self.manifest.profile_sha256:
            path = folder / PROFILE
            if not path.is_file() or file_sha256(path) != self.manifest.profile_sha256:
                raise DataError(f"{path}: does not fit {MANIFEST}")

    def _stored(self, name: str, records: Mapping[str, TensorRecord]) -> dict[str, Array]:
        arrays = dict(open_archive(self.folder / name))
        for tensor in [*records, *(n for n in arrays if n not in records)]:
            if tensor not in arrays or tensor not in records or digest(arrays[tensor]) != records[tensor].sha256:
                raise DataError(f"{self.folder / name}: tensor '{tensor}' does not fit {MANIFEST}")
        return arrays

    @property
    def stored(self) -> dict[str, Array]:
        """Tensors whose values are kept, not only their hashes."""
        return {**self.layers, **self.outputs}

    def origin(self, other: Path | None = None) -> Origin:
        """The stage it was made from, with the same rules; other: of another compiled model."""
        m = self.manifest
        source = other or Path(os.path.normpath(self.folder / m.source))
        profile = self.folder / PROFILE if m.profile_sha256 else None
        return Origin(source, m.net, m.stage, profile, m.arith)


def record(array: Array, layer: str = "", op: str = "") -> TensorRecord:
    """The manifest's entry of a tensor."""
    return TensorRecord(sha256=digest(array), dtype=array.dtype.name, shape=list(array.shape), layer=layer, op=op)


def make(subject: Subject, inputs: Mapping[str, Array], folder: Path, *, keep_layers: bool = False) -> Manifest:
    """Runs a stage and writes a golden folder. Raises UsageError if the folder has golden data already."""
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder}: has golden data already; replace it with `bittrue golden promote --reason`")
    manifest, values = _run(subject, inputs, folder)
    _write(folder, manifest, inputs, values, keep_layers, subject.origin.profile)
    return manifest


def _run(subject: Subject, inputs: Mapping[str, Array], folder: Path) -> tuple[Manifest, dict[str, Array]]:
    origin = subject.origin
    run = subject.run(inputs)
    meta = subject.model.meta if subject.model else {}
    manifest = Manifest(
        source=os.path.relpath(origin.source, folder),
        net=origin.net,
        stage=origin.stage,
        model_sha256=file_sha256(origin.file),
        compiled={k: meta[k] for k in MADE_OF if meta.get(k)},
        target=subject.target,
        precision=subject.precision,
        arith=dict(origin.arith),
        profile_sha256=file_sha256(origin.profile) if origin.profile else "",
        arithmetic=dict(subject.arithmetic),
        evidence=dict(subject.evidence),
        tool=f"bittrue {__version__}",
        path=subject.path,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        inputs={n: record(np.asarray(a)) for n, a in inputs.items()},
        outputs={n: record(a, *run.ops.get(n, ())) for n, a in run.outputs.items()},
        layers={n: record(a, *run.ops.get(n, ())) for n, a in run.layers.items()},
    )
    return manifest, {**run.layers, **run.outputs}


def _write(
    folder: Path,
    manifest: Manifest,
    inputs: Mapping[str, Array],
    values: Mapping[str, Array],
    keep_layers: bool,
    profile: Path | None,
) -> None:
    """Everything under temporary names first, the manifest last: a broken run leaves no manifest that fits."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".golden.", dir=folder))
    except OSError as e:
        raise DataError(f"{folder}: cannot be written ({e.strerror})") from e
    try:
        save_npz(work / INPUTS, inputs)
        save_npz(work / OUTPUTS, {n: values[n] for n in manifest.outputs})
        if keep_layers:
            save_npz(work / LAYERS, {n: values[n] for n in manifest.layers})
        if profile:
            shutil.copyfile(profile, work / PROFILE)
        content = manifest.model_dump(by_alias=True)
        (work / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")
        for stale in (LAYERS, PROFILE):
            (folder / stale).unlink(missing_ok=True)
        for name in sorted((p.name for p in work.iterdir()), key=lambda n: n == MANIFEST):
            os.replace(work / name, folder / name)
    except OSError as e:
        raise DataError(f"{folder}: cannot be written ({e.strerror})") from e
    finally:
        shutil.rmtree(work, ignore_errors=True)


def verify(golden: Golden, subject: Subject) -> Result:
    """Runs the stage again and says which tensors drifted, and by how much where their values are kept."""
    now, values = _run(subject, golden.inputs, golden.folder)
    result = compare_records(golden.manifest, now, golden.stored, values)
    result.sources = {"golden": str(golden.folder), "model": str(subject.origin.source)}
    result.tool["path"] = now.path
    drifted = any(t.verdict != "EQUAL" for t in result.nets[0].tensors)
    if drifted and golden.layers and subject.model:
        comparison = GraphComparison(subject.model, Session(subject.model.graph), EXACT)
        comparison.find_origins(result.nets[0].tensors, golden.inputs, golden.layers, golden.outputs)
        result.summarize()
    if now.model_sha256 != golden.manifest.model_sha256:
        result.warnings.append(f"{subject.origin.source}: is another model than the one the golden data was made from")
    result.warnings += changed_rules(golden.manifest, now)
    return result


def changed_rules(old: Manifest, new: Manifest) -> list[str]:
    """The target's rules that have another value now, in words."""
    names = dict.fromkeys([*old.arithmetic, *new.arithmetic])
    pairs = [(n, old.arithmetic.get(n, "absent"), new.arithmetic.get(n, "absent")) for n in names]
    return [f"rule {name} was {a}, is {b}" for name, a, b in pairs if a != b]


def diff(a: Golden, b: Golden) -> Result:
    """Compares two golden folders without running anything."""
    if {n: r.sha256 for n, r in a.manifest.inputs.items()} != {n: r.sha256 for n, r in b.manifest.inputs.items()}:
        raise DataError(f"{a.folder} and {b.folder}: made from different inputs")
    result = compare_records(a.manifest, b.manifest, a.stored, b.stored)
    result.sources = {"golden": str(a.folder), "other": str(b.folder)}
    result.warnings += changed_rules(a.manifest, b.manifest)
    return result


def compare_records(
    old: Manifest, new: Manifest, old_values: Mapping[str, Array], new_values: Mapping[str, Array]
) -> Result:
    """A result with every tensor of either side, by hash; with metrics where both values are at hand."""
    facts: dict[str, dict[str, Any]] = {}
    for index, (name, seen) in enumerate({**new.tensors, **old.tensors}.items()):
        facts[name] = {"index": index, "layer": seen.layer, "op": seen.op}
        if name in old.outputs and name not in old.layers:
            facts[name]["role"] = "output"
    both = [n for n in facts if n in old_values and n in new_values]
    tensors = compare_tensors_by_name(
        {n: old_values[n] for n in both}, {n: new_values[n] for n in both}, EXACT, facts.__getitem__
    )
    tensors += [by_hash(n, old.tensors.get(n), new.tensors.get(n), facts[n]) for n in facts if n not in both]
    tensors.sort(key=lambda t: t.index)
    result = new_result("golden", name=old.source)
    result.target = {"name": new.target, "precision": new.precision, "evidence": new.evidence}
    result.add_stage(Path(old.source).name, 0, tensors)
    return result


def by_hash(name: str, a: TensorRecord | None, b: TensorRecord | None, facts: dict[str, Any]) -> TensorResult:
    """The result of a tensor whose values are not at hand on both sides."""
    seen = a or b
    assert seen is not None
    t = TensorResult(name=name, shape=seen.shape, dtype=seen.dtype, verdict="EQUAL", **facts)
    if a is None or b is None:
        t.verdict = "EXTRA" if a is None else "MISSING"
        return t
    t.n = int(np.prod(seen.shape, dtype=np.int64))
    if a != b:
        t.verdict = "DIFFERENT" if (a.dtype, a.shape) == (b.dtype, b.shape) else "NOT_COMPARABLE"
        t.detail = "the hash differs; the values are not kept (`golden make --layers` keeps them)"
    return t


def promote(golden: Golden, subject: Subject, reason: str) -> Manifest:
    """Replaces golden data by a new run; the reason and the tensors that changed stay in the history.

    Raises UsageError without a reason, and if nothing changed.
    """
    if not reason.strip():
        raise UsageError("golden promote: --reason must say why the golden data is replaced")
    now, values = _run(subject, golden.inputs, golden.folder)
    old, new = golden.manifest.tensors, now.tensors
    entry = Promotion(
        time=now.made,
        reason=reason.strip(),
        tool=now.tool,
        old_model_sha256=golden.manifest.model_sha256,
        new_model_sha256=now.model_sha256,
        changed=[
            Change(name=n, old=old[n].sha256 if n in old else "", new=new[n].sha256 if n in new else "")
            for n in dict.fromkeys([*old, *new])
            if old.get(n) != new.get(n)
        ],
    )
    if not entry.changed and entry.old_model_sha256 == entry.new_model_sha256:
        raise UsageError(f"{golden.folder}: nothing drifted, there is nothing to promote")
    now.history = [*golden.manifest.history, entry]
    _write(golden.folder, now, golden.inputs, values, bool(golden.layers), subject.origin.profile)
    return now
