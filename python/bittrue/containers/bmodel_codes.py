"""Codes of the .bmodel format: data types, storage modes, chips and the address rules that go with them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from bittrue.containers.flat import Table
from bittrue.errors import UnsupportedError

# code -> (name, bits)
DATA_TYPES: tuple[tuple[str, int], ...] = (
    ("float32", 32),
    ("float16", 16),
    ("int8", 8),
    ("uint8", 8),
    ("int16", 16),
    ("uint16", 16),
    ("int32", 32),
    ("uint32", 32),
    ("bfloat16", 16),
    ("int4", 4),
    ("uint4", 4),
)
DATA_TYPE_CODES: dict[str, int] = {name: code for code, (name, _) in enumerate(DATA_TYPES)}

ADDR_BASIC = 0
SUBNET_TPU, SUBNET_CPU, SUBNET_MERGE, SUBNET_SWITCH = range(4)
PAGE = 4096


@dataclass(frozen=True)
class Chip:
    """Memory facts of a chip: first tensor address and the fixed command sizes (0: sizes are stored)."""

    first_address: int
    command_bytes: int = 0


CHIPS: dict[str, Chip] = {
    "BM1682": Chip(0x105184000, 256),
    "BM1684": Chip(0x105100000, 128),
    "BM1684X": Chip(0x100000000),
}
_OTHER = Chip(0x100000000)


def chip_facts(name: str) -> Chip:
    """Facts of a chip string; the BM1684X ones for chips without measured values."""
    return CHIPS.get(name, _OTHER)


def type_name(code: int) -> str:
    """Name of a data_type code; vendor spelling `unkown` outside the list."""
    return DATA_TYPES[code][0] if code < len(DATA_TYPES) else "unkown"


def type_code(name: str) -> int:
    """Code of a numpy type name (or "int4"/"uint4"). Raises UnsupportedError for types the format lacks."""
    if name not in DATA_TYPE_CODES:
        raise UnsupportedError(f"type '{name}' cannot be stored in a bmodel; it has {', '.join(DATA_TYPE_CODES)}")
    return DATA_TYPE_CODES[name]


def array_dtype(name: str) -> np.dtype:
    """numpy dtype that holds one element a slot; int4 and uint4 are ml_dtypes types."""
    return np.dtype(getattr(ml_dtypes, name)) if name in ("bfloat16", "int4", "uint4") else np.dtype(name)


def data_bytes(code: int, shape: tuple[int, ...]) -> int:
    """Bytes of a 1N tensor, int4 pairs rounded up. Raises UnsupportedError for unknown codes."""
    if code >= len(DATA_TYPES):
        raise UnsupportedError(f"data_type {code} is unknown")
    return (math.prod(shape) * DATA_TYPES[code][1] + 7) // 8


def tensor_shape(tensor: Table, stage_shape: int = 0) -> tuple[int, ...]:
    """Dims of a Tensor table (its first shape; empty when it has none)."""
    shapes = tensor.shape or []
    return tuple(shapes[stage_shape].dim or ()) if stage_shape < len(shapes) else ()


def tensor_bytes(tensor: Table) -> int:
    """Bytes of a Tensor's data in 1N layout, as stored in .dat files."""
    return data_bytes(tensor.data_type, tensor_shape(tensor))
