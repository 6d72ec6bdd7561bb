"""Replays recorded layer runs: raw commands, memory before, memory after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import bittrue._core as _core
from bittrue.devices.bm1684.session import DEFAULT_FILL
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
FIELDS = ("bdc", "gdma", "ddr_base", "ddr_in", "out_addr", "out")
OTHER_FILL = 0xC3


@dataclass(frozen=True)
class ReplayCounts:
    """Bytes of the recorded region: compared, differing, and undefined (they depend on never-written memory)."""

    compared: int
    differing: int
    undefined: int


def replay(arrays: Mapping[str, Array], *, path: str | None = None, threads: int = 1) -> ReplayCounts:
    """Runs a recording and compares the bytes that the device wrote.

    The run is repeated with another content of never-written memory; bytes that differ between the two are undefined
    and not compared. Running the compute engine first must give the same bytes, else the stream has a race.
    Raises DataError for missing fields and for a race, and what the simulator raises.
    """
    missing = [name for name in FIELDS if name not in arrays]
    if missing:
        raise DataError(f"field '{missing[0]}' is missing")
    expected = arrays["out"]
    first = _run(arrays, path, threads, DEFAULT_FILL, True)
    if not np.array_equal(first, _run(arrays, path, threads, DEFAULT_FILL, False)):
        raise DataError("race: the order of the engines changes the result")
    defined = first == _run(arrays, path, threads, OTHER_FILL, True)
    differing = int(np.count_nonzero((first != expected) & defined))
    compared = int(np.count_nonzero(defined))
    return ReplayCounts(compared, differing, expected.size - compared)


def _run(arrays: Mapping[str, Array], path: str | None, threads: int, fill: int, gdma_first: bool) -> Array:
    base, memory = int(arrays["ddr_base"]), arrays["ddr_in"]
    machine = _core.bm1684.Machine(base, memory.size, threads, path or "best", fill)
    machine.write(base, memory)
    program = _core.bm1684.Program(arrays["bdc"], arrays["gdma"], machine)
    program.run(machine, program.order(gdma_first))
    return machine.read(int(arrays["out_addr"]), arrays["out"].size)
