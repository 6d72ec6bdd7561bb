"""Frontends: a model file of any known format to the float graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.ir import Graph
from bittrue.importers.caffe import CaffeOptions, load_caffe
from bittrue.importers.onnx import load_onnx

FORMATS: dict[str, Callable[..., Graph]] = {".onnx": load_onnx, ".prototxt": load_caffe}


def load_float_graph(
    path: Path | str,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    disabled_passes: Collection[str] = (),
    caffe: CaffeOptions | None = None,
) -> Graph:
    """Reads a float model and runs the graph passes.

    input_shapes: shapes of inputs whose dimensions are symbolic in the file. disabled_passes: names from
    `bittrue.graph.passes.PASSES`. caffe: the weights of a prototxt and how it is read. Raises DataError for missing or
    broken files, UnsupportedError for unknown formats and constructs, UsageError where a shape or weights are needed.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix == ".prototxt":
        return load_caffe(path, input_shapes=input_shapes, disabled_passes=disabled_passes, options=caffe)
    if suffix not in FORMATS:
        raise UnsupportedError(f"{path}: unknown model format '{path.suffix}'; known: {', '.join(FORMATS)}")
    if caffe is not None and caffe != CaffeOptions():
        raise UsageError(f"{path}: weights in a file of their own are of Caffe models (.prototxt)")
    return FORMATS[suffix](path, input_shapes=input_shapes, disabled_passes=disabled_passes)
