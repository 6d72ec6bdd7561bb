"""Command streams of a stage: two arrays of 1024-bit commands a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import bittrue._core as _core
from bittrue.containers.flat import Table
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
COMMAND_BYTES = 128
ENGINES = ("bdc", "gdma")
# engine -> (name, first bit, width) of every field; all 1024 bits are covered
FIELDS: dict[str, list[tuple[str, int, int]]] = {engine: _core.bm1684.fields(engine) for engine in ENGINES}


@dataclass(frozen=True)
class CommandGroup:
    """One group of commands; ids start at 1 in every group. bdc, gdma: uint32 [commands, 32]."""

    index: int
    bdc: Array
    gdma: Array

    def stream(self, engine: str) -> Array:
        return self.bdc if engine == "bdc" else self.gdma


def decode(engine: str, commands: Array) -> list[dict[str, int]]:
    """Field values of each command. engine: "bdc" or "gdma"; commands: uint32 [n, 32]."""
    return _core.bm1684.decode(engine, commands)


def encode(engine: str, commands: list[dict[str, int]]) -> Array:
    """Inverse of `decode`; fields that are left out are zero. Raises DataError for unknown names and values that are
    too wide."""
    return _core.bm1684.encode(engine, commands)


def _stream(table: Table, engine: str, where: str) -> Array:
    count = int(table.bdc_num if engine == "bdc" else table.gdma_num)
    binary = table.binary_bdc if engine == "bdc" else table.binary_gdma
    data = b"" if binary is None else bytes(binary.data)
    if count * COMMAND_BYTES > len(data):
        raise DataError(f"{where}: {count} {engine.upper()} commands announced, the blob has {len(data)} bytes")
    return np.frombuffer(data[: count * COMMAND_BYTES], "<u4").reshape(count, COMMAND_BYTES // 4)


def command_groups(stage: Table, where: str = "stage") -> list[CommandGroup]:
    """The groups of a stage in execution order. Raises DataError when a group announces more than its blob holds.

    Subnets repeat the groups of the net; they are read there only when the net lists none.
    """
    tables = list(stage.cmd_group or [])
    if not tables:
        tables = [g for s in stage.sub_net or [] for g in s.cmd_group or []]
    return [
        CommandGroup(i, _stream(t, "bdc", f"{where} group {i}"), _stream(t, "gdma", f"{where} group {i}"))
        for i, t in enumerate(tables)
    ]
