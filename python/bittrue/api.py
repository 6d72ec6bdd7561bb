"""The functions behind the command line: small, typed, numpy in and out."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.calibrate import calibrate as calibrate_graph
from bittrue.calibrate.data import Preprocess, load_records
from bittrue.calibrate.table import CalibrationTable
from bittrue.compiler import digest, from_sections, to_sections
from bittrue.containers.bmodel import read_bmodel, write_bmodel
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import from_onnx
from bittrue.importers import load_float_graph
from bittrue.ops import evaluate_graph
from bittrue.quantize.model import QuantizedModel
from bittrue.runtime.session import RunResult, Session

Array = np.ndarray[Any, Any]


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`name=1x3x224x224` texts to shapes by input name. Raises UsageError."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, dims = text.rpartition("=")
        try:
            shapes[name] = tuple(int(d) for d in dims.split("x"))
        except ValueError:
            shapes[name] = ()
        if not name or not shapes[name] or min(shapes[name]) < 1:
            raise UsageError(f"--shape {text}: expected name=1x3x224x224")
    return shapes


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes an archive under a temporary name, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as f:
        np.savez(f, **arrays)  # type: ignore[arg-type]
    os.replace(f.name, path)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
