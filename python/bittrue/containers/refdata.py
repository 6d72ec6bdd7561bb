"""Reference data of a context directory: input_ref_data.dat, output_ref_data.dat and io_info.dat.

The .dat files are raw bytes without header or padding: nets, stages and tensors in file order, 1N layout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bittrue.containers.bmodel import Bmodel, write_atomic
from bittrue.containers.bmodel_codes import array_dtype, type_code
from bittrue.containers.build import IoTensor, io_tensors
from bittrue.errors import DataError

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class StageIo:
    """Inputs and outputs of one stage; key: (net index, stage index). `label` appears in messages."""

    key: tuple[int, int]
    label: str
    inputs: list[IoTensor]
    outputs: list[IoTensor]

    def side(self, outputs: bool) -> list[IoTensor]:
        return self.outputs if outputs else self.inputs


def model_io(model: Bmodel) -> list[StageIo]:
    """The tensors of every stage, net-major. Raises UnsupportedError for unknown data types."""
    return [
        StageIo((i, j), f"net[{net.name}] stage[{j}]", io_tensors(stage.input_tensor), io_tensors(stage.output_tensor))
        for i, j, net, stage in model.stages()
    ]


def to_bytes(io: IoTensor, value: np.ndarray) -> bytes:
    """1N bytes of a tensor; int4 pairs put the first element into the low half.

    Raises DataError unless the array has the type and the number of elements of the tensor.
    """
    dtype = array_dtype(io.dtype)
    array = np.ascontiguousarray(value)
    if array.size != int(np.prod(io.shape, dtype=np.int64)):
        raise DataError(f"tensor '{io.name}' has shape {list(io.shape)}, the data {list(array.shape)}")
    if io.dtype in ("int4", "uint4"):
        nibbles = array.reshape(-1).astype(np.int8).astype(np.uint8) & 15
        if nibbles.size % 2:
            nibbles = np.append(nibbles, np.uint8(0))
        return bytes((nibbles[0::2] | nibbles[1::2] << 4).astype(np.uint8))
    if array.dtype != dtype:
        raise DataError(f"tensor '{io.name}' is {io.dtype}, the data {array.dtype.name}")
    return array.tobytes()


def from_bytes(io: IoTensor, data: bytes | memoryview) -> np.ndarray:
    """Array of a tensor from exactly its 1N bytes; int4 and uint4 become int8 and uint8."""
    if io.dtype not in ("int4", "uint4"):
        return np.frombuffer(data, array_dtype(io.dtype)).reshape(io.shape).copy()
    packed = np.frombuffer(data, np.uint8)
    count = int(np.prod(io.shape, dtype=np.int64))
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:count]
    if io.dtype == "int4":
        return ((nibbles ^ 8).astype(np.int8) - np.int8(8)).reshape(io.shape)
    return nibbles.reshape(io.shape).copy()


def split_refdata(path: str | os.PathLike[str], stages: Sequence[Sequence[IoTensor]]) -> Iterator[list[memoryview]]:
    """Raw bytes of each tensor, one list a stage.

    Raises DataError when the file is missing or its size is not exactly the sum of all tensors.
    """
    name = os.fspath(path)
    try:
        data = memoryview(Path(path).read_bytes())
    except OSError as e:
        raise DataError(f"cannot read {name}: {e.strerror or e}") from e
    expected = sum(io.bytes for stage in stages for io in stage)
    if len(data) != expected:
        raise DataError(f"{name}: expected {expected} bytes for the tensors of the model, found {len(data)}")
    pos = 0
    for stage in stages:
        parts = []
        for io in stage:
            parts.append(data[pos : pos + io.bytes])
            pos += io.bytes
        yield parts


def read_refdata(path: str | os.PathLike[str], stages: Sequence[Sequence[IoTensor]]) -> list[Arrays]:
    """Reads a .dat file into one dict (tensor name -> array) a stage. stages: the tensors of each stage, net-major.

    Raises DataError naming the file with expected and found size.
    """
    return [
        {io.name: from_bytes(io, part) for io, part in zip(stage, parts, strict=True)}
        for stage, parts in zip(stages, split_refdata(path, stages), strict=True)
    ]


def refdata_bytes(stages: Sequence[Sequence[IoTensor]], values: Sequence[Arrays]) -> bytes:
    """Contents of a .dat file. Raises DataError when a tensor is missing or does not fit."""
    if len(stages) != len(values):
        raise DataError(f"reference data for {len(values)} stages, the model has {len(stages)}")
    parts = []
    for stage, arrays in zip(stages, values, strict=True):
        for io in stage:
            if io.name not in arrays:
                raise DataError(f"no reference data for tensor '{io.name}'")
            parts.append(to_bytes(io, arrays[io.name]))
    return b"".join(parts)


def write_refdata(path: str | os.PathLike[str], stages: Sequence[Sequence[IoTensor]], values: Sequence[Arrays]) -> None:
    """Writes a .dat file under a temporary name and renames it."""
    write_atomic(path, refdata_bytes(stages, values))


def io_info_text(inputs: Sequence[IoTensor], outputs: Sequence[IoTensor]) -> str:
    """Text of io_info.dat: name, dims and data_type code of each input, then of each output."""
    lines = []
    for title, side in (("input:", inputs), ("output:", outputs)):
        lines.append(title)
        for io in side:
            lines += [io.name, f"[ {' '.join(map(str, io.shape))} ]", str(type_code(io.dtype))]
    return "\n".join(lines) + "\n"
