"""Reads ONNX files without copying their weights: 8-bit initializers are views of the bytes of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto
from onnx.external_data_helper import load_external_data_for_model

Array = np.ndarray[Any, Any]

# Field numbers of onnx.proto.
GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
BYTE_TYPES = {TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8}
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class OnnxOutline:
    """A model whose initializers are without their raw data. raw: what each initializer lacks."""

    model: onnx.ModelProto
    raw: list[memoryview]

    def fill(self, folder: Path) -> dict[str, Array]:
        """Completes the initializers, from the files beside the model too, except 8-bit ones: it returns those. Raises
        ValueError for data that does not fit its shape, and what the onnx package raises for missing files."""
        weights = {}
        initializers = self.model.graph.initializer
        for tensor, raw in zip(initializers, self.raw, strict=True):
            if tensor.data_type in BYTE_TYPES and raw:
                weights[tensor.name] = np.frombuffer(raw, BYTE_TYPES[tensor.data_type]).reshape(tensor.dims)
            elif raw:
                tensor.raw_data = bytes(raw)
        if any(t.data_location == TensorProto.EXTERNAL for t in initializers):
            load_external_data_for_model(self.model, str(folder))
        return weights


def read_outline(path: Path) -> OnnxOutline:
    """Reads a file, all but the raw data of its initializers. Raises OSError and DecodeError."""
    data = memoryview(path.read_bytes())
    raw: list[memoryview] = []
    kept = bytearray()
    for number, start, value, end in _fields(data):
        kept += _delimited(GRAPH, _graph_outline(data[value:end], raw)) if number == GRAPH else data[start:end]
    return OnnxOutline(onnx.ModelProto.FromString(bytes(kept)), raw)


def _graph_outline(graph: memoryview, raw: list[memoryview]) -> bytes:
    kept = bytearray()
    for number, start, value, end in _fields(graph):
        if number != INITIALIZER:
            kept += graph[start:end]
            continue
        tensor, own_raw, rest = graph[value:end], memoryview(b""), bytearray()
        for number_in_tensor, start_in_tensor, value_in_tensor, end_in_tensor in _fields(tensor):
            if number_in_tensor == RAW_DATA:
                own_raw = tensor[value_in_tensor:end_in_tensor]
            else:
                rest += tensor[start_in_tensor:end_in_tensor]
        raw.append(own_raw)
        kept += _delimited(INITIALIZER, bytes(rest))
    return bytes(kept)


def _fields(message: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """(number, start, start of the value, end) of every field of a message in the protobuf wire format. The number is 0
    for fields of fixed size and numbers: none of those is looked into."""
    at = 0
    while at < len(message):
        start = at
        key, value = _varint(message, at)
        wire = key & 7
        if wire == LENGTH_DELIMITED:
            length, value = _varint(message, value)
            at = value + length
        elif wire == VARINT:
            at = _varint(message, value)[1]
        elif wire in (FIXED64, FIXED32):
            at = value + (8 if wire == FIXED64 else 4)
        else:
            raise DecodeError(f"wire type {wire}, which ONNX does not use")
        if at > len(message):
            raise DecodeError("a field ends after its message")
        yield key >> 3 if wire == LENGTH_DELIMITED else 0, start, value, at


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    number = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    raise DecodeError("a broken number")


def _delimited(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    head, rest = bytearray([number << 3 | LENGTH_DELIMITED]), len(value)
    while rest > 127:
        head.append(rest & 127 | 128)
        rest >>= 7
    head.append(rest)
    return bytes(head) + value
