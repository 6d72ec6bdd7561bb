"""Two compiled models: what they are made of first, then, on the same inputs, what they compute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.errors import DataError
from bittrue.report.result import Result, TensorResult, new_result
from bittrue.runtime.session import Session
from bittrue.verify.fingerprints import check_fingerprints, input_records, sha256
from bittrue.verify.graph import GraphComparison
from bittrue.verify.pairs.nets import CompiledNet, dequantized, open_nets
from bittrue.verify.pairs.options import CompareOptions
from bittrue.verify.pairs.origins import find_side
from bittrue.verify.pairs.structure import structure_differences
from bittrue.verify.policy import EXACT, Policy
from bittrue.verify.tensors import compare_tensors_by_name

Array = np.ndarray[Any, Any]
STRICT = ("exact", "bmrt")  # policy bases under which another structure fails


def compare_models(ref: Path, got: Path, options: CompareOptions) -> Result:
    """Networks, stages, tensors, quantization and coefficients; then outputs and equal-named layers, if there are
    inputs: those given, or the reference data of the sides.

    Another structure fails under the bases exact and bmrt, and is a warning under the others. Raises DataError if the
    sides have reference data of different inputs, or nothing could be compared.
    """
    policy = options.policy_or(EXACT)
    result = new_result("compare", name=got.name)
    result.policy = policy.summary()
    result.sources = {"reference": str(ref), "run": str(got)}
    for a, b in _paired(open_nets(ref), open_nets(got), result):
        differences = structure_differences(a, b)
        title = f"network {b.net} stage {b.stage}"
        result.warnings += [f"{title}: {text}" for text in differences]
        tensors = _coefficients(a, b, policy) + _values(a, b, policy, options, result)
        failed = f"{len(differences)} differences in structure, the first: {differences[0]}" if differences else ""
        result.add_stage(b.net, b.stage, tensors, failed if policy.base in STRICT else "")
    if not any(n.error or any(t.n for t in n.tensors) for n in result.nets):
        raise DataError(f"{ref} and {got}: nothing was compared: no equal-named stage with coefficients or inputs")
    return result


def _paired(ref: list[CompiledNet], got: list[CompiledNet], result: Result) -> list[tuple[CompiledNet, CompiledNet]]:
    """Stages with the same network name and number; single stages whatever their names. Others fail."""
    if len(ref) == len(got) == 1:
        return [(ref[0], got[0])]
    a, b = ({(n.net, n.stage): n for n in side} for side in (ref, got))
    for net, stage in dict.fromkeys([*a, *b]):
        if (net, stage) not in a or (net, stage) not in b:
            result.add_stage(net, stage, [], f"only in the {'reference' if (net, stage) in a else 'run'}")
    return [(a[key], b[key]) for key in a if key in b]


def _coefficients(a: CompiledNet, b: CompiledNet, policy: Policy) -> list[TensorResult]:
    """One result per constant; of command streams per part of the stage."""
    tensors = compare_tensors_by_name(a.blobs, b.blobs, policy, lambda _: {"role": "coefficient", "index": -1})
    for t in tensors:
        if t.verdict == "EXTRA":
            t.verdict, t.detail = "MISSING", "only the run has this coefficient"
    return tensors


def _values(
    a: CompiledNet, b: CompiledNet, policy: Policy, options: CompareOptions, result: Result
) -> list[TensorResult]:
    shapes = [{io.name: io.shape for io in side.inputs} for side in (a, b)]
    if shapes[0] != shapes[1]:
        return []  # the structure says it; no input is one of both
    feeds = _inputs(a, b, options, result)
    if feeds is None:
        return []
    ref, got = a.run(feeds[0], options), b.run(feeds[1], options)
    result.tool |= {"path": options.path or "", "threads": options.threads or 0}
    result.inputs += input_records(feeds[1])
    outputs = {io.name for io in [*a.outputs, *b.outputs]}
    names = [n for n in {**ref, **got} if n in outputs or (n in ref and n in got and n not in feeds[1])]
    grids = a.grids(), b.grids()
    other_grid = {n for n in names if grids[0].get(n) != grids[1].get(n)}
    sides = []
    for values, own in zip((ref, got), grids, strict=True):
        kept = {n: values[n] for n in names if n in values}
        sides.append({n: dequantized(v, own.get(n)) if n in other_grid else v for n, v in kept.items()})
    comparison = None
    if b.model is not None:
        comparison = GraphComparison(
            b.model, Session(b.model.graph, path=options.path, threads=options.threads), policy
        )

    def describe(name: str) -> dict[str, Any]:
        fields = comparison.describe(name) if comparison else {}
        if name in other_grid:
            fields |= {"scale": None, "zero_point": None}
        return fields | ({"role": "output"} if name in outputs else {})

    tensors = compare_tensors_by_name(sides[0], sides[1], policy, describe)
    for t in tensors:
        if t.name in other_grid:
            t.detail = "; ".join(p for p in (t.detail, "quantized differently: compared as dequantized floats") if p)
    tensors.sort(key=lambda t: (t.role == "output", t.index))
    if comparison and not other_grid:
        find_side(comparison, tensors, {**sides[0], **feeds[0]}, {**sides[1], **feeds[1]})
    return tensors


def _inputs(
    a: CompiledNet, b: CompiledNet, options: CompareOptions, result: Result
) -> tuple[Mapping[str, Array], Mapping[str, Array]] | None:
    if (given := options.given_inputs()) is not None:
        return a.feeds(given), b.feeds(given)
    found = [side.reference for side in (a, b)]
    if found[0] is None or found[1] is None:
        result.warnings.append(
            f"network {b.net} stage {b.stage}: no reference data on both sides: only structure and coefficients were "
            "compared; --input FILE runs both"
        )
        return None
    old, new = ({n: sha256(v) for n, v in side.items()} for side in found if side is not None)
    result.warnings += check_fingerprints(old, new, options.allow_other_inputs)
    return found[0], found[1]
