"""Vectors lie as DIR/<layer>/case*.npz: layers with logical tensors (a target's `CASES` says which node a layer of the
recording is), or raw command streams with memory before and after (a target's `REPLAY` runs them)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]
# arrays of a recorded case -> (one-node graph, its inputs, name of the output tensor)
CaseMap = Mapping[str, Callable[[Mapping[str, Array]], tuple[Graph, dict[str, Array], str]]]


@dataclass
class LayerResult:
    """Counts over all cases of one recorded layer. elements: compared values, or bytes of command streams; undefined:
    bytes that depend on never-written memory and were not compared."""

    layer: str
    cases: int = 0
    elements: int = 0
    mismatches: int = 0
    undefined: int = 0
    first_bad: str = ""

    def add(self, file: str, elements: int, mismatches: int, undefined: int = 0) -> None:
        """Counts one case."""
        self.cases += 1
        self.elements += elements
        self.mismatches += mismatches
        self.undefined += undefined
        if mismatches and not self.first_bad:
            self.first_bad = file


class Recording(Protocol):
    """Counts of a replayed command stream, in bytes."""

    compared: int
    differing: int
    undefined: int


def _conformance_module(target: str) -> ModuleType:
    try:
        return import_module(f"bittrue.targets.{target}.conformance")
    except ModuleNotFoundError as e:
        raise UnsupportedError(f"target '{target}' has no conformance cases") from e


def cases_of(target: str) -> CaseMap:
    """Recorded layers that the target can replay. Raises UnsupportedError if it has none."""
    cases: CaseMap = _conformance_module(target).CASES
    return cases


def replay_of(target: str) -> Callable[..., Recording]:
    """How the target runs recorded command streams. Raises UnsupportedError if it cannot."""
    module = _conformance_module(target)
    if not hasattr(module, "REPLAY"):
        raise UnsupportedError(f"target '{target}' has no simulator of command streams")
    replay: Callable[..., Recording] = module.REPLAY
    return replay


def count_mismatches(expected: Array, got: Array) -> int:
    """Elements whose bits differ; shape and dtype must be equal. Two NaNs of any payload are equal."""
    if expected.shape != got.shape or expected.dtype != got.dtype:
        raise DataError(
            f"result is {got.dtype} {list(got.shape)}, the recording has {expected.dtype} {list(expected.shape)}"
        )
    if expected.dtype == np.float32:
        both_nan = np.isnan(expected) & np.isnan(got)
        return int(np.count_nonzero((expected.view(np.uint32) != got.view(np.uint32)) & ~both_nan))
    return int(np.count_nonzero(expected != got))


def load_case(path: Path) -> dict[str, Array]:
    """Arrays of one recorded case. Raises DataError for an unreadable file."""
    try:
        with np.load(path) as data:
            return dict(data)
    except (OSError, ValueError, KeyError, EOFError) as e:
        raise DataError(f"{path}: not a readable .npz ({e})") from e
    except Exception as e:  # zipfile.BadZipFile and zlib errors have no common base
        raise DataError(f"{path}: not a readable .npz ({e})") from e


def run_conformance(directory: Path, target: str, *, path: str | None = None) -> Iterator[LayerResult]:
    """One result per folder of `directory`, in name order.

    Raises DataError if the folder is missing, a file is broken or nothing was compared, UnsupportedError if a folder's
    layer is unknown to the target.
    """
    if not directory.is_dir():
        raise DataError(f"{directory}: no such folder")
    _conformance_module(target)
    for folder in sorted(p for p in directory.iterdir() if p.is_dir()):
        files = sorted(folder.glob("*.npz"))
        if not files:
            continue
        result = LayerResult(folder.name)
        for file in files:
            arrays = load_case(file)
            try:
                if is_recording(arrays):
                    counts = replay_of(target)(arrays, path=path)
                    result.add(file.name, counts.compared, counts.differing, counts.undefined)
                else:
                    result.add(file.name, *_run_layer(arrays, folder.name, target, path))
            except (DataError, UnsupportedError) as e:
                raise type(e)(f"{file}: {e}") from e
        yield result


def is_recording(arrays: Mapping[str, Array]) -> bool:
    """Whether the arrays of a case are a recorded command stream."""
    return "bdc" in arrays and "gdma" in arrays


def _run_layer(arrays: Mapping[str, Array], layer: str, target: str, path: str | None) -> tuple[int, int]:
    """(elements, mismatches) of a case with logical tensors."""
    cases = cases_of(target)
    if layer not in cases:
        raise UnsupportedError(f"target '{target}' has no layer '{layer}'")
    if "y" not in arrays:
        raise DataError("no recorded output 'y'")
    try:
        graph, feeds, output = cases[layer](arrays)
    except KeyError as e:
        raise DataError(f"field {e} is missing") from e
    got = Session(graph, path=path).run(feeds).outputs[output]
    return arrays["y"].size, count_mismatches(arrays["y"], got)
