"""Stopping a run at a command and looking at tensors, for a person who steps through a network."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from bittrue.devices.bm1684.session import Group, InstructionSession
from bittrue.devices.bm1684.trace import read_operand
from bittrue.errors import UsageError

Array = np.ndarray[Any, Any]
BREAK = re.compile(r"^(?:(\d+):)?(?:(bdc|gdma):)?(\d+)$")
PLACE = re.compile(r"^(0x[0-9a-fA-F]+):(\w+):(\d+(?:x\d+)*)$")
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32")


class Breakpoint:
    """`12`: after the 12th command that runs; `bdc:12` or `gdma:12`: after that command of its stream; `1:bdc:12`: of
    group 1. Use `hook` as the hook of a run. Raises UsageError for other texts."""

    def __init__(self, text: str) -> None:
        match = BREAK.match(text)
        if not match or not int(match[3]):
            raise UsageError(f"--break-at {text}: expected N, bdc:N or gdma:N, with GROUP: before it for another group")
        self.text = text
        self._group = int(match[1] or 0) if match[2] else None
        self._engine, self._number = match[2], int(match[3])
        self._seen = 0
        self.stopped: tuple[Group, int] | None = None

    def hook(self, group: Group, step: int) -> bool:
        """True when the command at which to stop has run."""
        self._seen += 1
        command = group.command(step)
        named = (command.group, command.engine, command.number) == (self._group, self._engine, self._number)
        if named if self._engine else self._seen == self._number:
            self.stopped = (group, step)
        return self.stopped is not None

    def facts(self) -> str:
        """The command at which the run stopped, disassembled. Raises UsageError if it was never reached."""
        if self.stopped is None:
            raise UsageError(f"--break-at {self.text}: the run has no such command")
        group, step = self.stopped
        return f"{group.command(step)}: {group.text(step)}"


def dump_tensor(session: InstructionSession, spec: str, stopped: tuple[Group, int] | None) -> Array:
    """`opd0`, `res0`, `src`, ..: an operand of the command at which the run stopped, as it lies in memory now.
    `0x105479000:float32:1x20x40x40`: device memory, row-major. Raises UsageError for other texts and names."""
    if match := PLACE.match(spec):
        if match[2] not in DTYPES:
            raise UsageError(f"--dump-tensor {spec}: type '{match[2]}'; known: {', '.join(DTYPES)}")
        shape = tuple(int(d) for d in match[3].split("x"))
        dtype = np.dtype(match[2])
        data: Array = session.machine.read(int(match[1], 16), math.prod(shape) * dtype.itemsize)
        return data.view(dtype).reshape(shape)
    if stopped is None:
        raise UsageError(f"--dump-tensor {spec}: an operand needs --break-at; else ADDRESS:TYPE:SHAPE")
    group, step = stopped
    accesses = group.steps[step]["accesses"]
    names = [a["operand"] for a in accesses]
    if spec not in names:
        raise UsageError(f"--dump-tensor {spec}: the command has {', '.join(dict.fromkeys(names))}")
    return read_operand(group, step, len(names) - 1 - names[::-1].index(spec))
