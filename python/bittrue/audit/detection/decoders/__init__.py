"""Decoders: outputs of a detector to objects, one file each; `@decoder` registers them.

A decoder takes the outputs of one picture, the (width, height) of the network's input and the lowest scores wanted, and
returns objects whose coordinates are fractions of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

from bittrue.audit.detection.boxes import Detections
from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph

Array = np.ndarray[Any, Any]
Size = tuple[int, int]
# layer that a network ends in -> the decoder of its rows
LAYER_DECODERS = {"DetectionOutput": "ssd", "YoloDetection": "yolo"}


@dataclass(frozen=True)
class Limits:
    """least: lowest score of an object. most: largest overlap of two objects that suppression leaves, for decoders that
    suppress."""

    least: float
    most: float


Decode = Callable[[Mapping[str, Array], Size, Limits], Detections]


@dataclass(frozen=True)
class Decoder:
    """text: what it reads, and where its formulas are from. most: the overlap of suppression that its source uses."""

    name: str
    text: str
    most: float
    function: Decode

    def __call__(self, outputs: Mapping[str, Array], size: Size, limits: Limits) -> Detections:
        """Raises DataError for outputs of another kind of network."""
        try:
            return self.function(outputs, size, limits)
        except DataError as e:
            found = ", ".join(f"{n} {list(v.shape)}" for n, v in outputs.items())
            raise DataError(f"decoder {self.name}: {e}; the network has {found}") from e


DECODERS: dict[str, Decoder] = {}


def decoder(name: str, text: str, most: float = 1.0) -> Callable[[Decode], Decode]:
    """Registers the decorated function."""

    def register(function: Decode) -> Decode:
        DECODERS[name] = Decoder(name, text, most, function)
        return function

    return register


def load_decoder(name: str) -> Decoder:
    """Raises UsageError for names that no decoder has."""
    if name not in DECODERS:
        raise UsageError(f"no decoder '{name}'; there are {', '.join(DECODERS)}")
    return DECODERS[name]


def decoder_of(graph: Graph) -> Decoder:
    """The decoder of the detection layer that a network ends in. Raises UsageError for networks that end in another."""
    ends: Sequence[str] = [n.op for n in graph.nodes if set(n.outputs) & set(graph.outputs)]
    found = [LAYER_DECODERS[op] for op in ends if op in LAYER_DECODERS]
    if len(found) != 1:
        outputs = ", ".join(f"{n} {list(graph.types[n].shape)}" for n in graph.outputs)
        raise UsageError(f"--decoder is needed for outputs {outputs}: one of {', '.join(DECODERS)}")
    return load_decoder(found[0])


def rows_of(outputs: Mapping[str, Array], name: str, columns: int) -> Array:
    """An output (1, N, columns) as float32 (N, columns). Raises DataError if it is not there or has another shape."""
    if name not in outputs:
        raise DataError(f"output '{name}' is needed")
    value = np.asarray(outputs[name], np.float32)
    if value.ndim != 3 or value.shape[0] != 1 or value.shape[2] != columns:
        raise DataError(f"output '{name}' must be [1, N, {columns}]")
    return value[0]


for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
