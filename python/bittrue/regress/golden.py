"""Golden data: what a compiled model computes today, kept so that any later drift is seen, measured and explained.

A golden folder holds `golden.json` (hashes of the model, every input, output and layer, the rules of the target, the
tool that made it, and why it was ever replaced), `inputs.npz`, `outputs.npz` and, on request, `layers.npz`.
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
from bittrue.errors import DataError, UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, TensorResult, evidence_counts, new_result
from bittrue.runtime.session import Session
from bittrue.verify.compare import compare_tensors_by_name
from bittrue.verify.graph import GraphComparison
from bittrue.verify.policy import EXACT

Array = np.ndarray[Any, Any]
SCHEMA = "bittrue-golden/1"
MANIFEST, INPUTS, OUTPUTS, LAYERS = "golden.json", "inputs.npz", "outputs.npz", "layers.npz"


class TensorRecord(BaseModel):
    """SHA-256 of a tensor's bytes (row-major), and what it is."""

    model_config = ConfigDict(extra="forbid")
    sha256: str
    dtype: str
    shape: list[int]
    layer: str = ""
    op: str = ""


class Promotion(BaseModel):
    """Why the golden data was replaced, by which tool, and which tensors changed."""

    model_config = ConfigDict(extra="forbid")
    time: str
    reason: str
    tool: str
    model_sha256: str
    changed: list[str]


class Manifest(BaseModel):
    """golden.json. source: the compiled model, relative to the golden folder. arithmetic: the target's rules."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    schema_: str = Field(SCHEMA, alias="schema")
    source: str
    model_sha256: str
    target: str
    precision: str
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
            first = e.errors()[0]
            raise DataError(f"{folder / MANIFEST}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from e
        except (OSError, ValueError) as e:
            raise DataError(f"{folder / MANIFEST}: cannot be read ({type(e).__name__})") from e
        self.inputs = self._stored(INPUTS, self.manifest.inputs)
        self.outputs = self._stored(OUTPUTS, self.manifest.outputs)
        has_layers = (folder / LAYERS).is_file()
        self.layers = self._stored(LAYERS, self.manifest.layers) if has_layers else {}

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

    def source(self, other: Path | None = None) -> Path:
        """The compiled model: another one, or the one it was made from."""
        return other or Path(os.path.normpath(self.folder / self.manifest.source))


def record(name: str, array: Array, model: QuantizedModel) -> TensorRecord:
    """The manifest's entry of a tensor."""
    node = model.graph.producer().get(name)
    return TensorRecord(
        sha256=digest(array),
        dtype=array.dtype.name,
        shape=list(array.shape),
        layer=node.name if node else "",
        op=node.op if node else "",
    )


def make(
    source: Path, model: QuantizedModel, inputs: Mapping[str, Array], folder: Path, *, keep_layers: bool = False
) -> Manifest:
    """Runs a model and writes a golden folder. Raises UsageError if the folder has golden data already."""
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder}: has golden data already; replace it with `bittrue golden promote --reason`")
    manifest, values = _run(source, model, inputs, folder)
    _write(folder, manifest, inputs, values, keep_layers)
    return manifest


def _run(
    source: Path, model: QuantizedModel, inputs: Mapping[str, Array], folder: Path
) -> tuple[Manifest, dict[str, Array]]:
    session = Session(model.graph)
    run = session.run(inputs, trace=[n for n in model.graph.activations() if n not in model.graph.inputs])
    values = {**run.trace, **run.outputs}
    file = source / "compilation.bmodel" if source.is_dir() else source
    manifest = Manifest(
        source=os.path.relpath(source, folder),
        model_sha256=file_sha256(file),
        target=model.target,
        precision=model.precision,
        arithmetic=model.arithmetic,
        evidence=evidence_counts([str(n.attrs.get("evidence", "")) for n in model.graph.nodes]),
        tool=f"bittrue {__version__}",
        path=session.path,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        inputs={n: record(n, np.asarray(a), model) for n, a in inputs.items()},
        outputs={n: record(n, run.outputs[n], model) for n in model.graph.outputs},
        layers={n: record(n, a, model) for n, a in run.trace.items()},
    )
    return manifest, values


def _write(
    folder: Path, manifest: Manifest, inputs: Mapping[str, Array], values: Mapping[str, Array], keep_layers: bool
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
        content = manifest.model_dump(by_alias=True)
        (work / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")
        (folder / LAYERS).unlink(missing_ok=True)
        for name in sorted((p.name for p in work.iterdir()), key=lambda n: n == MANIFEST):
            os.replace(work / name, folder / name)
    except OSError as e:
        raise DataError(f"{folder}: cannot be written ({e.strerror})") from e
    finally:
        shutil.rmtree(work, ignore_errors=True)


def verify(golden: Golden, source: Path, model: QuantizedModel) -> Result:
    """Runs the model again and says which tensors drifted, and by how much where their values are kept."""
    now, values = _run(source, model, golden.inputs, golden.folder)
    result = compare_records(golden.manifest, now, golden.stored, values)
    result.kind = "golden"
    result.sources = {"golden": str(golden.folder), "model": str(source)}
    result.tool["path"] = now.path
    drifted = any(t.verdict != "EQUAL" for t in result.nets[0].tensors)
    if drifted and golden.layers:
        comparison = GraphComparison(model, Session(model.graph), EXACT)
        comparison.find_origins(result.nets[0].tensors, golden.inputs, golden.layers, golden.outputs)
        result.summarize()
    if now.model_sha256 != golden.manifest.model_sha256:
        result.warnings.append(f"{source}: is another model than the one the golden data was made from")
    for name, old in golden.manifest.arithmetic.items():
        new = now.arithmetic.get(name)
        if new != old:
            result.warnings.append(f"rule {name} was {old}, is {new}")
    return result


def diff(a: Golden, b: Golden) -> Result:
    """Compares two golden folders without running anything."""
    if {n: r.sha256 for n, r in a.manifest.inputs.items()} != {n: r.sha256 for n, r in b.manifest.inputs.items()}:
        raise DataError(f"{a.folder} and {b.folder}: made from different inputs")
    result = compare_records(a.manifest, b.manifest, a.stored, b.stored)
    result.kind = "golden"
    result.sources = {"golden": str(a.folder), "other": str(b.folder)}
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


def promote(golden: Golden, source: Path, model: QuantizedModel, reason: str) -> Manifest:
    """Replaces golden data by a new run; the reason and the tensors that changed stay in the history.

    Raises UsageError without a reason, and if nothing changed.
    """
    if not reason.strip():
        raise UsageError("golden promote: --reason must say why the golden data is replaced")
    now, values = _run(source, model, golden.inputs, golden.folder)
    old, new = golden.manifest.tensors, now.tensors
    changed = [n for n in dict.fromkeys([*old, *new]) if old.get(n) != new.get(n)]
    if not changed and now.model_sha256 == golden.manifest.model_sha256:
        raise UsageError(f"{golden.folder}: nothing drifted, there is nothing to promote")
    entry = Promotion(
        time=now.made,
        reason=reason.strip(),
        tool=now.tool,
        model_sha256=golden.manifest.model_sha256,
        changed=changed,
    )
    now.history = [*golden.manifest.history, entry]
    _write(golden.folder, now, golden.inputs, values, bool(golden.layers))
    return now
