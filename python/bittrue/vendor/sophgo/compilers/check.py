"""The comparison while compiling: every layer of the device against the reference, and why the first wrong one is."""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.errors import MismatchError
from bittrue.model_files import Reference
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, TensorResult, new_result
from bittrue.runtime.session import Session
from bittrue.verify.explain.run import Explainer
from bittrue.verify.graph import GraphComparison
from bittrue.verify.policy import EXACT

Array = np.ndarray[Any, Any]
LARGEST_PART = 2 << 30  # bytes of layer tensors that are compared at once
ACCUMULATED = 1e-5  # relative difference that other orders of float sums make at most


def compare_layers(model: QuantizedModel, session: Session, reference: Reference) -> int:
    """Compares every layer and output exactly; returns how many tensors. Raises MismatchError that names the first
    layer that is wrong on the reference's own inputs, its counts and its cause."""
    comparison = GraphComparison(model, session, EXACT)
    outputs = reference.values(model.graph.outputs)
    tensors = comparison.compare(reference.feeds, reference.layers, outputs, LARGEST_PART)
    if all(t.passed for t in tensors):
        return len(tensors)
    Explainer(comparison.find_origins(tensors, reference.feeds, reference.layers, outputs)).explain(tensors)
    result = new_result("verify", name=model.graph.name)
    result.add_stage(model.graph.name, 0, tensors)
    first = result.first_divergent
    assert first is not None
    raise MismatchError(_sentence(result, first, session, reference))


def _sentence(result: Result, first: TensorResult, session: Session, reference: Reference) -> str:
    got = session.run(reference.feeds, trace=[first.name]).trace[first.name]
    expected = reference.values([first.name])[first.name]
    kind = _kind(first, expected, got)
    why = f"; {first.causes[0].sentence}" if first.causes else f"; {first.detail}" if first.detail else ""
    rest = len({t.name for t in result.failing}) - 1
    return (
        f"{first.layer or first.name} ({first.op or 'output'}): {first.n_bad} of {first.n} elements differ from the "
        f"reference, largest difference {first.max_abs:g}; cause: {kind}{why}"
        + (f"; {rest} further tensors differ after it" if rest else "")
    )


def _kind(t: TensorResult, expected: Array, got: Array) -> str:
    """The cause in the words that users of the vendor's compilers know."""
    cause = t.causes[0] if t.causes else None
    if t.op in ("TopK", "DetectionOutput", "YoloDetection", "Proposal") and _same_rows(expected, got):
        return "ordering (the same rows in another order)"
    if cause and (cause.cls == "TIE_ROUNDING" or cause.label == "TIES"):
        return "ties"
    proven = cause is not None and cause.status == "PROVEN"
    if cause and proven and cause.cls == "ACCUMULATION":
        return "accumulation"
    small = got.dtype.kind == "f" and not t.nonfinite and t.max_rel is not None and t.max_rel <= ACCUMULATED
    if not proven and (small or (cause and cause.cls == "ACCUMULATION")):
        return "accumulation (by the size of the differences, not proven)"
    return "neither ties, ordering nor accumulation"


def _same_rows(a: Array, b: Array) -> bool:
    """Whether both hold the same rows in any order."""
    first, second = (r[np.lexsort(r.T[::-1])] for r in (x.reshape(-1, x.shape[-1]) for x in (a, b)))
    return np.array_equal(first, second, equal_nan=True)
