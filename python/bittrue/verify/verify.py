"""Simulates a context directory and compares every stage with its reference data, outputs and layers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.compiler import from_sections
from bittrue.containers.bmodel import check_codes
from bittrue.containers.build import read_compiled, stage_kind
from bittrue.containers.context_dir import ContextDir
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, TensorResult, evidence_counts, new_result
from bittrue.runtime.session import Session
from bittrue.verify.compare import compare_tensors_by_name
from bittrue.verify.verdict import Tolerance

Array = np.ndarray[Any, Any]
REASONS = {
    "instructions": "instruction stream: not simulated yet",
    "dynamic_ir": "firmware instructions of a dynamic network: not specified publicly",
    "empty": "no commands",
}


def verify(
    directory: Path | str,
    *,
    accuracy_f: float | None = None,
    accuracy_i: int = 0,
    layers: bool = True,
    net_idx: int | None = None,
    stage_idx: int | None = None,
    path: str | None = None,
    threads: int | None = None,
) -> Result:
    """Runs every network and stage and reports all of them.

    Raises DataError for missing, broken or inconsistent files (also reference data that is too short or too long, and
    coefficients whose hash is wrong), UsageError for an index out of range, UnsupportedError if a stage is of a kind
    that cannot be simulated.
    """
    context = ContextDir.open(directory)
    stale = check_codes(context.model)
    if stale:
        raise DataError(f"{directory}: {stale[0]}")
    inputs, outputs = context.inputs, context.outputs
    stages = list(context.model.stages())
    if net_idx is not None and net_idx not in {s.net_index for s in stages}:
        raise UsageError(f"{directory}: no network {net_idx}")
    chosen = [i for i, s in enumerate(stages) if net_idx in (None, s.net_index) and stage_idx in (None, s.stage_index)]
    if not chosen:
        raise UsageError(f"{directory}: no stage {stage_idx}")
    if all(stage_kind(stages[i].stage) != "bittrue" for i in chosen):
        first = stages[chosen[0]]
        raise UnsupportedError(
            f"{directory}: network '{first.net.name}' stage {first.stage_index}: {REASONS[stage_kind(first.stage)]}"
        )
    tolerance = Tolerance(accuracy_f, accuracy_i)
    result = new_result("verify", name=str(stages[chosen[0]].net.name))
    labels: list[str] = []
    for i in chosen:
        ref = stages[i]
        if stage_kind(ref.stage) != "bittrue":
            result.add_stage(str(ref.net.name), ref.stage_index, [], REASONS[stage_kind(ref.stage)])
            continue
        compiled = read_compiled(ref.stage)
        model = from_sections(compiled.sections, compiled.coefficients)
        session = Session(model.graph, path=path, threads=threads)
        use_layers = layers and context.has_layers and len(stages) == 1
        names = [n for n in model.graph.activations() if n not in model.graph.inputs]
        run = session.run(inputs[i], trace=names if use_layers else False)
        tensors = []
        if use_layers:
            tensors = _with_layers(model, compare_tensors_by_name(context.layers, run.trace, tolerance))
        got = compare_tensors_by_name(outputs[i], run.outputs, tolerance)
        for t in _with_layers(model, got):
            t.role = "output"
            tensors.append(t)
        result.add_stage(str(ref.net.name), ref.stage_index, tensors)
        result.tool |= {"path": session.path, "threads": session.threads}
        result.target = {"name": model.target, "precision": model.precision}
        result.inputs += [
            {
                "name": n,
                "shape": list(a.shape),
                "dtype": str(a.dtype),
                "sha256": hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest(),
            }
            for n, a in inputs[i].items()
        ]
        labels += [str(n.attrs.get("evidence", "")) for n in model.graph.nodes]
    result.target["evidence"] = evidence_counts(labels)
    result.model |= {k: context.manifest[k] for k in ("model_sha256",) if context.manifest.get(k)}
    if layers and not context.has_layers:
        result.warnings.append("no layers_ref.npz: only the network outputs were compared")
    if layers and context.has_layers and len(stages) > 1:
        result.warnings.append("layers_ref.npz was left out: it does not say which of the stages it belongs to")
    constant = [n for o in outputs for n, a in o.items() if a.size > 1 and np.all(a == a.flat[0])]
    result.warnings += [f"reference output '{n}' is constant: equality is weak evidence" for n in constant]
    return result


def _with_layers(model: QuantizedModel, tensors: list[TensorResult]) -> list[TensorResult]:
    """Adds layer, op, evidence and execution order."""
    writers = {o: (k, n) for k, n in enumerate(model.graph.nodes) for o in n.outputs}
    for t in tensors:
        if t.name in writers:
            t.index, node = writers[t.name]
            t.layer, t.op, t.evidence = node.name, node.op, str(node.attrs.get("evidence", ""))
    return sorted(tensors, key=lambda t: t.index)
