"""Comparison of two tensor archives by name; nothing is sampled, renamed, cropped or skipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.archive import open_archive
from bittrue.errors import DataError
from bittrue.report.result import Result, TensorResult, new_result
from bittrue.verify.policy import EXACT, Policy
from bittrue.verify.traces import compare_traces, first_difference, is_trace
from bittrue.verify.verdict import judge_pair

Array = np.ndarray[Any, Any]


def compare_tensors_by_name(
    ref: Mapping[str, Array],
    got: Mapping[str, Array],
    policy: Policy,
    describe: Callable[[str], Mapping[str, Any]] | None = None,
) -> list[TensorResult]:
    """One result per name of either side, the reference's order first.

    describe: further fields of a `TensorResult` by tensor name (layer, op, index, role, scale, ...).
    """
    results = []
    for index, name in enumerate(dict.fromkeys([*ref, *got])):
        r, g = ref.get(name), got.get(name)
        seen = r if r is not None else g
        assert seen is not None
        fields = {"index": index, **(describe(name) if describe else {})}
        result = TensorResult(name=name, shape=list(seen.shape), dtype=str(seen.dtype), verdict="", **fields)
        verdict, metrics = judge_pair(r, g, result.facts, policy, scale=result.scale or 0.0)
        result = result.model_copy(update=dict(metrics))
        result.apply(verdict)
        results.append(result)
    return results


def compare(ref: Path | str, got: Path | str, *, policy: Policy = EXACT) -> Result:
    """Compares two archives; of two command traces it names the first command that differs.

    Raises DataError if nothing could be compared.
    """
    ref, got = Path(ref), Path(got)
    a, b = open_archive(ref), open_archive(got)
    traces = is_trace(a) or is_trace(b)
    tensors = compare_traces(a, b, policy) if traces else compare_tensors_by_name(a, b, policy)
    if not any(t.n or t.verdict != "EQUAL" for t in tensors):
        raise DataError(f"{ref} and {got}: nothing was compared")
    result = new_result("compare", name=got.name)
    result.policy = policy.summary()
    result.sources = {"reference": str(ref), "run": str(got)}
    result.add_stage(got.name, 0, tensors)
    if traces and (line := first_difference(a, b, tensors)):
        result.warnings.append(line)
    return result
