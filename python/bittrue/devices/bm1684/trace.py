"""Traces: what every command wrote, as an .npz in execution order, and the comparison of two of them."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bittrue.containers.bmodel import temporary_beside
from bittrue.devices.bm1684.session import Group
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
LEVELS = ("dma", "commands")
COMMANDS = "trace.commands"  # member with one disassembled line per traced command
ELEMENTS = {"raw8": "uint8"}


def read_operand(group: Group, step: int, access: int) -> Array:
    """An operand of a command as it lies in the memories now, [n, c, h, w]."""
    facts = group.steps[step]["accesses"][access]
    data = group.program.read_operand(group.machine, step, access)
    if facts["element"] == "raw8":
        return data.reshape(*facts["shape"], facts["bytes"])
    return data.view(ELEMENTS.get(facts["element"], facts["element"])).reshape(facts["shape"])


class TraceWriter:
    """Collects what commands write while a session runs (use `record` as its hook); `close` renames the file in.

    level: "dma" for tensors that the memory mover writes to device memory, "commands" for every result.
    """

    def __init__(self, path: Path, level: str = "commands") -> None:
        if level not in LEVELS:
            raise DataError(f"trace level '{level}'; known: {', '.join(LEVELS)}")
        self.path, self.level = path, level
        self._lines: list[str] = []
        self._runs: Counter[tuple[int, int]] = Counter()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = temporary_beside(path)
        except OSError as e:
            raise DataError(f"cannot write {path}: {e.strerror or e}") from e
        self._archive = zipfile.ZipFile(self._temporary, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write(COMMANDS, np.array(self._lines, dtype=np.str_))
        self._archive.close()
        if kind is None:
            self._temporary.replace(self.path)
        else:
            self._temporary.unlink(missing_ok=True)

    def record(self, group: Group, step: int) -> bool:
        """A hook of `InstructionSession.run`; never stops the run."""
        facts = group.steps[step]
        written = [k for k, a in enumerate(facts["accesses"]) if a["write"]]
        if self.level == "dma":
            written = [k for k in written if facts["accesses"][k]["space"] == "device"]
        if not written:
            return False
        self._runs[(group.commands.index, step)] += 1
        run = self._runs[(group.commands.index, step)]
        command = group.command(step)
        label = f"g{command.group}.{command.engine}{command.number:05d}" + (f"#{run}" if run > 1 else "")
        for k in written:
            access = facts["accesses"][k]
            place = f"@{access['address']:#x}" if access["space"] == "device" else ""
            self._write(f"{label}.{access['operand']}{place}", read_operand(group, step, k))
        self._lines.append(f"{label} {group.text(step)}")
        return False

    def _write(self, name: str, array: Array) -> None:
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def is_trace(arrays: Any) -> bool:
    """Whether the members of an archive are those of a trace."""
    return COMMANDS in arrays


def command_lines(arrays: Any) -> dict[str, str]:
    """Command label (the part of a tensor's name before the operand) -> disassembled line."""
    lines = [str(line).split(" ", 1) for line in arrays[COMMANDS]]
    return {parts[0]: parts[1] for parts in lines if len(parts) == 2}


def label_of(tensor: str) -> str:
    """The command label of a traced tensor's name: `g0.bdc00012.res0` -> `g0.bdc00012`."""
    return ".".join(tensor.split(".")[:2])
