"""Comparison of two command traces: which command is the first whose result differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bittrue.devices.bm1684.trace import COMMANDS, command_lines, is_trace, label_of
from bittrue.errors import DataError
from bittrue.report.result import TensorResult
from bittrue.verify.policy import Policy
from bittrue.verify.verdict import judge_pair

Array = np.ndarray[Any, Any]
__all__ = ["compare_traces", "first_difference", "is_trace"]


def compare_traces(ref: Mapping[str, Array], got: Mapping[str, Array], policy: Policy) -> list[TensorResult]:
    """One result per traced tensor, in the execution order of `ref`; `layer` is the command label, `op` its operation.

    ref, got: archives with a `trace.commands` member (lazily read ones do). Raises DataError for other archives.
    """
    if not (is_trace(ref) and is_trace(got)):
        raise DataError("a trace can only be compared with a trace")
    lines = command_lines(ref) | command_lines(got)
    results = []
    for index, name in enumerate(dict.fromkeys([*ref, *got])):
        if name == COMMANDS:
            continue
        r, g = ref.get(name, None), got.get(name, None)
        seen = r if r is not None else g
        assert seen is not None
        result = TensorResult(
            name=name,
            index=index,
            layer=name,
            op=operation(lines.get(label_of(name), "")),
            shape=list(seen.shape),
            dtype=str(seen.dtype),
            verdict="",
        )
        verdict, metrics = judge_pair(r, g, result.facts, policy)
        result = result.model_copy(update=dict(metrics))
        result.apply(replace(verdict, word="MISSING") if r is None else verdict)
        results.append(result)
    return results


def operation(line: str) -> str:
    """The operation of a disassembled line: `bdc 3 after gdma 2 conv.mul res0=...` -> `conv.mul`."""
    words = line.split()
    return words[5] if len(words) > 5 else ""


def first_difference(ref: Mapping[str, Array], got: Mapping[str, Array], results: list[TensorResult]) -> str | None:
    """One line about the first command whose result fails, disassembled; None if all pass."""
    first = next((t for t in results if not t.passed), None)
    if first is None:
        return None
    label = label_of(first.name)
    lines = {**command_lines(got), **command_lines(ref)}
    return f"first command that differs, {label}: {lines.get(label, 'not in the trace')}"
