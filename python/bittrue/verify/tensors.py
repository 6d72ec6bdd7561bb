"""Comparison of tensors by name; nothing is sampled, renamed, cropped or skipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bittrue.report.result import TensorResult
from bittrue.verify.policy import Policy
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
