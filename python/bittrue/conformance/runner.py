"""Vectors lie as DIR/<layer>/case*.npz; a target's `CASES` says which node a layer of the recording is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]
# arrays of a recorded case -> (one-node graph, its inputs, name of the output tensor)
CaseMap = Mapping[str, Callable[[Mapping[str, Array]], tuple[Graph, dict[str, Array], str]]]


@dataclass
class LayerResult:
    """Counts over all cases of one recorded layer."""

    layer: str
    cases: int = 0
    elements: int = 0
    mismatches: int = 0
    first_bad: str = ""


def cases_of(target: str) -> CaseMap:
    """Recorded layers that the target can replay. Raises UnsupportedError if it has none."""
    try:
        module = import_module(f"bittrue.targets.{target}.conformance")
    except ModuleNotFoundError as e:
        raise UnsupportedError(f"target '{target}' has no conformance cases") from e
    cases: CaseMap = module.CASES
    return cases


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
    cases = cases_of(target)
    for folder in sorted(p for p in directory.iterdir() if p.is_dir()):
        files = sorted(folder.glob("*.npz"))
        if not files:
            continue
        if folder.name not in cases:
            raise UnsupportedError(f"{folder}: target '{target}' has no layer '{folder.name}'")
        result = LayerResult(folder.name)
        for file in files:
            arrays = load_case(file)
            if "y" not in arrays:
                raise DataError(f"{file}: no recorded output 'y'")
            try:
                graph, feeds, output = cases[folder.name](arrays)
                got = Session(graph, path=path).run(feeds).outputs[output]
                bad = count_mismatches(arrays["y"], got)
            except KeyError as e:
                raise DataError(f"{file}: field {e} is missing") from e
            except DataError as e:
                raise DataError(f"{file}: {e}") from e
            result.cases += 1
            result.elements += arrays["y"].size
            result.mismatches += bad
            if bad and not result.first_bad:
                result.first_bad = file.name
        yield result
