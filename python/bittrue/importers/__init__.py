"""Frontends: a model file of any known format to the float graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.importers.onnx import load_onnx

FORMATS = {".onnx": load_onnx}


def load_float_graph(
    path: Path | str,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    disabled_passes: Collection[str] = (),
) -> Graph:
    """Reads a float model and runs the graph passes.

    input_shapes: shapes of inputs whose dimensions are symbolic in the file. disabled_passes: names from
    `bittrue.graph.passes.PASSES`. Raises DataError for missing or broken files, UnsupportedError for unknown formats
    and constructs, UsageError where a shape is needed.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix.lower() not in FORMATS:
        raise UnsupportedError(f"{path}: unknown model format '{path.suffix}'; known: {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()](path, input_shapes=input_shapes, disabled_passes=disabled_passes)
