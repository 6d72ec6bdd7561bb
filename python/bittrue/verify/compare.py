"""Comparison of two tensor archives by name; nothing is sampled, renamed, cropped or skipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.context_dir import load_npz
from bittrue.errors import DataError
from bittrue.report.result import Result, TensorResult, new_result
from bittrue.verify.traces import compare_traces, first_difference, is_trace
from bittrue.verify.verdict import Tolerance, judge

Array = np.ndarray[Any, Any]


def read_archive(path: Path) -> dict[str, Array]:
    """Arrays of an .npz by name, or of an .npy under its file name.

    Raises DataError for missing and broken files and for duplicate names.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix == ".npz":
        return dict(load_npz(path))
    if path.suffix == ".npy":
        try:
            return {path.stem: np.load(path, allow_pickle=False)}
        except (OSError, ValueError, EOFError) as e:
            raise DataError(f"{path}: not a readable .npy ({e})") from e
    raise DataError(f"{path}: not a tensor archive (.npz, .npy); raw .dat files are compared by `bittrue verify`")


def compare_tensors_by_name(
    ref: Mapping[str, Array], got: Mapping[str, Array], tolerance: Tolerance
) -> list[TensorResult]:
    """One result per name of either side, the reference's order first."""
    results = []
    for index, name in enumerate(dict.fromkeys([*ref, *got])):
        r, g = ref.get(name), got.get(name)
        verdict, metrics = judge(r, g, tolerance)
        seen = r if r is not None else g
        assert seen is not None
        results.append(
            TensorResult(
                name=name,
                index=index,
                shape=list(seen.shape),
                dtype=str(seen.dtype),
                verdict=verdict,
                **(metrics.as_dict() if metrics else {}),
            )
        )
    return results


def compare(ref: Path | str, got: Path | str, *, accuracy_f: float | None = None, accuracy_i: int = 0) -> Result:
    """Compares two archives; of two command traces it names the first command that differs.

    Raises DataError if nothing could be compared.
    """
    ref, got = Path(ref), Path(got)
    tolerance = Tolerance(accuracy_f, accuracy_i)
    a, b = read_archive(ref), read_archive(got)
    traces = is_trace(a) or is_trace(b)
    tensors = compare_traces(a, b, tolerance) if traces else compare_tensors_by_name(a, b, tolerance)
    if not any(t.n or t.verdict != "EQUAL" for t in tensors):
        raise DataError(f"{ref} and {got}: nothing was compared")
    result = new_result("compare", name=got.name)
    result.add_stage(got.name, 0, tensors)
    if traces and (line := first_difference(a, b, tensors)):
        result.warnings.append(line)
    return result
