"""Umodels: which kind a file is, and the place where quantized ones are read.

An FP32 umodel is a Caffe network and goes through the Caffe frontend.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.importers.caffe.schema import new_message
from bittrue.quantize.model import QuantizedModel

QUANTIZED_GRAPH = 29000  # field of NetParameter that holds the quantized graph of an INT8 umodel


def is_int8(path: Path) -> bool:
    """Whether a umodel is a quantized one. Raises DataError for files that are no umodel."""
    weights = new_message("Weights")
    try:
        weights.ParseFromString(path.read_bytes())
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror or e})") from e
    except DecodeError as e:
        raise DataError(f"{path}: not a umodel, or cut off") from e
    return any(f.field_number == QUANTIZED_GRAPH for f in UnknownFieldSet(weights))


def check_precision(path: Path, wanted: str) -> None:
    """Raises DataError if the umodel is not of the precision that the option -prec says."""
    found = "INT8" if is_int8(path) else "FP32"
    if found != wanted:
        raise DataError(f"{path}: an {found} umodel, --prec={wanted} says otherwise")


def lower_int8(
    prototxt: Path, path: Path | None, shapes: Mapping[str, tuple[int, ...]], target: str
) -> tuple[Graph, QuantizedModel]:
    """The float graph and the quantized network of an INT8 umodel at the given shapes."""
    raise UnsupportedError(f"{path}: quantized umodels are not read yet")
