"""Runs a stage of a compiled BM1684 network on the instruction-level simulator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import bittrue._core as _core
from bittrue.containers.bmodel import Bmodel, StageRef
from bittrue.containers.bmodel_codes import SUBNET_CPU, SUBNET_MERGE, SUBNET_SWITCH
from bittrue.containers.build import io_tensors, stage_kind
from bittrue.containers.flat import Table
from bittrue.devices.bm1684.commands import CommandGroup, command_groups, decode
from bittrue.devices.bm1684.disasm import line
from bittrue.devices.bm1684.layout import device_bytes, from_device, to_device
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.runtime.session import RunResult

Array = np.ndarray[Any, Any]
CHIP = "BM1684"
LARGEST_MEMORY = 8 << 30
MOST_SUBNET_RUNS = 100_000
# Never-written bytes of local memory read as this; results that depend on it are undefined on the chip.
DEFAULT_FILL = 0x5A


@dataclass(frozen=True)
class Command:
    """A command of a group: engine "bdc" or "gdma", number from 1 in its stream, step index of the core's program."""

    group: int
    engine: str
    number: int
    step: int

    def __str__(self) -> str:
        return f"group {self.group} {self.engine.upper()} command {self.number}"


@dataclass(frozen=True)
class UninitializedRead:
    """Bytes that no command and no host write had written: of an operand that a command computed with (copies only
    pass them on), or of a network output (command None)."""

    command: Command | None
    operand: str
    bytes: int

    def __str__(self) -> str:
        who = f"{self.command}: {self.operand} reads" if self.command else f"output '{self.operand}' holds"
        return f"{who} {self.bytes} bytes never written"


class Group:
    """A command group, planned for a machine."""

    def __init__(self, commands: CommandGroup, machine: Any, gdma_first: bool) -> None:
        self.commands = commands
        self.machine = machine
        self.program = _core.bm1684.Program(commands.bdc, commands.gdma, machine)
        self.order: list[int] = self.program.order(gdma_first)

    @cached_property
    def steps(self) -> list[dict[str, Any]]:
        """Operands, ids and multiply-accumulates of every step (all BDC commands, then all GDMA commands)."""
        steps: list[dict[str, Any]] = self.program.steps(self.machine)
        return steps

    def command(self, step: int) -> Command:
        bdc = len(self.commands.bdc)
        engine, number = ("bdc", step + 1) if step < bdc else ("gdma", step - bdc + 1)
        return Command(self.commands.index, engine, number, step)

    def fields(self, step: int) -> dict[str, int]:
        c = self.command(step)
        return decode(c.engine, self.commands.stream(c.engine)[c.number - 1 : c.number])[0]

    def text(self, step: int) -> str:
        """The disassembled command."""
        return line(self.command(step).engine, self.fields(step))


# Called after every command, with its group and step; True stops the run.
Hook = Callable[[Group, int], bool]


class InstructionSession:
    """One stage of a compiled network: memories, coefficients and planned command streams.

    path: instruction set path of the kernels, default from BITTRUE_PATH or the best of the machine. gdma_first: which
    engine goes on when both could; a sound stream gives the same bits either way. check_uninitialized: collect reads
    of never-written bytes (slow). fill: what never-written local memory reads as.
    Raises UnsupportedError (exit 3) for other chips, dynamic subnets, CPU subnets and commands without known meaning,
    naming group, engine and command; DataError for addresses outside the memories and for deadlocks.
    """

    def __init__(
        self,
        model: Bmodel,
        ref: StageRef,
        *,
        path: str | None = None,
        threads: int | None = None,
        gdma_first: bool = True,
        check_uninitialized: bool = False,
        fill: int = DEFAULT_FILL,
    ) -> None:
        self.where = f"network '{ref.net.name}' stage {ref.stage_index}"
        self.stage = ref.stage
        if model.chip != CHIP:
            raise UnsupportedError(f"{self.where}: not implemented: command streams of {model.chip}")
        if stage_kind(ref.stage) != "instructions":
            raise UnsupportedError(f"{self.where}: not a command stream")
        for k, subnet in enumerate(ref.stage.sub_net or []):
            if subnet.subnet_mode == SUBNET_CPU:
                kinds = ", ".join(str(p.op_type) for p in subnet.cpu_param or [])
                raise UnsupportedError(f"{self.where} subnet {k}: not implemented: CPU layer of type {kinds or 'none'}")
        self.inputs, self.outputs = io_tensors(self.stage.input_tensor), io_tensors(self.stage.output_tensor)
        self.threads = threads or os.cpu_count() or 1
        wanted = path or os.environ.get("BITTRUE_PATH") or "best"
        if wanted != "best" and (wanted not in _core.known_paths() or not _core.path_available(wanted)):
            raise UsageError(f"path '{wanted}' is not available here; known: {', '.join(_core.known_paths())}")
        self._tracking = check_uninitialized
        base, end = self._device_range()
        self.machine = _core.bm1684.Machine(base, end - base, self.threads, wanted, fill, check_uninitialized)
        self.path: str = self.machine.path
        try:
            self.groups = [Group(g, self.machine, gdma_first) for g in command_groups(self.stage)]
        except (UnsupportedError, DataError) as e:
            raise type(e)(f"{self.where}: {e}") from e
        self.uninitialized: list[UninitializedRead] = []
        self._fresh = True

    def _device_range(self) -> tuple[int, int]:
        """Device memory that the stage names: coefficients, context, separate io memory, tensors."""
        stage = self.stage
        ranges = [(stage.ctx_addr, stage.ctx_size or sum(stage.ctx_sizes or []))]
        if stage.coeff_mem is not None and stage.coeff_mem.binary_coeff is not None:
            ranges.append((stage.coeff_mem.address, stage.coeff_mem.binary_coeff.size))
        if stage.io_size:
            ranges.append((stage.io_addr, stage.io_size))
        for table, io in zip([*stage.input_tensor, *stage.output_tensor], [*self.inputs, *self.outputs], strict=True):
            ranges.append((table.device_addr, max(table.size, device_bytes(table, io))))
        used = [(a, n) for a, n in ranges if n]
        if not used:
            raise DataError(f"{self.where}: no device memory is described")
        base, end = min(a for a, _ in used), max(a + n for a, n in used)
        if end - base > LARGEST_MEMORY:
            raise DataError(f"{self.where}: device memory from {base:#x} to {end:#x} is larger than a device has")
        return base, end

    def assumptions(self) -> dict[Command, str]:
        """Commands whose result rests on something that was never compared with the chip, and what that is."""
        return {
            group.command(k): facts["assumption"]
            for group in self.groups
            for k, facts in enumerate(group.steps)
            if facts["assumption"]
        }

    def load(self, feeds: Mapping[str, Array]) -> None:
        """Puts coefficients and inputs into device memory; all else is as after power-on.

        Raises DataError for missing or unknown inputs and for wrong types or numbers of elements.
        """
        unknown = set(feeds) - {io.name for io in self.inputs}
        if unknown:
            raise DataError(
                f"unknown input '{min(unknown)}'; the network has {', '.join(io.name for io in self.inputs)}"
            )
        if not self._fresh:
            self.machine.reset()
        self._fresh = False
        coefficients = self.stage.coeff_mem
        if coefficients is not None and coefficients.binary_coeff is not None:
            self.machine.write(coefficients.address, np.frombuffer(bytes(coefficients.binary_coeff.data), np.uint8))
        for table, io in zip(self.stage.input_tensor, self.inputs, strict=True):
            if io.name not in feeds:
                raise DataError(f"input '{io.name}' is missing")
            self.machine.write(table.device_addr, to_device(table, io, np.asarray(feeds[io.name])))

    def read_outputs(self) -> dict[str, Array]:
        """The network outputs as they lie in device memory now."""
        return {
            io.name: from_device(table, io, self.machine.read(table.device_addr, device_bytes(table, io)))
            for table, io in zip(self.stage.output_tensor, self.outputs, strict=True)
        }

    def run(self, feeds: Mapping[str, Array], hook: Hook | None = None) -> RunResult:
        """Runs all command groups once. hook: see `Hook`."""
        self.load(feeds)
        self.uninitialized = []
        for group in self.group_order():
            if not self._run_group(group, hook):
                break
        else:
            self.uninitialized += self._uninitialized_outputs()
        return RunResult(self.read_outputs())

    def _uninitialized_outputs(self) -> Iterator[UninitializedRead]:
        if not self._tracking:
            return
        for table, io in zip(self.stage.output_tensor, self.outputs, strict=True):
            flags = self.machine.read_flags(table.device_addr, device_bytes(table, io))
            missing = int(np.count_nonzero(from_device(table, io, flags).view(np.uint8) == 0))
            if missing:
                yield UninitializedRead(None, io.name, missing)

    def _run_group(self, group: Group, hook: Hook | None) -> bool:
        """False if the hook stopped the run."""
        batches = [group.order] if hook is None else [[step] for step in group.order]
        for steps in batches:
            for step, operand, count in group.program.run(self.machine, steps):
                self.uninitialized.append(UninitializedRead(group.command(step), operand, count))
            if hook is not None and hook(group, steps[0]):
                return False
        return True

    def group_order(self) -> Iterator[Group]:
        """The groups in the order that the subnets give; switches look at device memory while the run goes on."""
        subnets = list(self.stage.sub_net or [])
        if not subnets:
            yield from self.groups
            return
        first_group, total = [], 0
        for subnet in subnets:
            first_group.append(total)
            total += len(subnet.cmd_group or [])
        if not total and len(subnets) == 1:  # the net alone lists the groups
            yield from self.groups
            return
        if total > len(self.groups):
            raise DataError(f"{self.where}: subnets use {total} command groups, the network has {len(self.groups)}")
        written: dict[str, int] = {}  # tensor -> when
        position, runs = 0, 0
        while 0 <= position < len(subnets):
            runs += 1
            if runs > MOST_SUBNET_RUNS:
                raise DataError(f"{self.where}: the subnets do not end within {MOST_SUBNET_RUNS} runs")
            subnet = subnets[position]
            taken = 0
            if subnet.subnet_mode == SUBNET_SWITCH:
                taken = self._switch(subnet, position)
            elif subnet.subnet_mode == SUBNET_MERGE:
                self._merge(subnet, position, written)
            else:
                start = first_group[position]
                yield from self.groups[start : start + len(subnet.cmd_group or [])]
            for tensor in subnet.output_tensor or []:
                written[str(tensor.name)] = runs
            position = self._next(subnet, position, taken)

    def _next(self, subnet: Table, position: int, taken: int) -> int:
        """-1 at the end. Without ids subnets run in list order."""
        following = list(subnet.next_subnet_ids or [])
        if subnet.id < 0:
            return position + 1
        if not following:
            return -1
        if taken >= len(following):
            raise DataError(f"{self.where} subnet {position}: no successor for condition {taken}")
        return int(following[taken])

    def _switch(self, subnet: Table, position: int) -> int:
        """1 if the last input, an int32, is not zero; outputs of the taken branch receive their inputs."""
        inputs, outputs = list(subnet.input_tensor or []), list(subnet.output_tensor or [])
        if not inputs:
            raise DataError(f"{self.where} subnet {position}: a switch without a condition")
        taken = int(np.any(self.machine.read(inputs[-1].device_addr, 4)))
        sources = list((subnet.switch_param.output_from if subnet.switch_param else None) or [])
        branches = list((subnet.switch_param.output_branch if subnet.switch_param else None) or [])
        for k, output in enumerate(outputs):
            if k < len(branches) and branches[k] == taken and k < len(sources):
                self._move(inputs, sources[k], output, position)
        return taken

    def _merge(self, subnet: Table, position: int, written: dict[str, int]) -> None:
        """Each output receives that of its inputs which was written last."""
        inputs, outputs = list(subnet.input_tensor or []), list(subnet.output_tensor or [])
        choices = list((subnet.merge_param.output_from if subnet.merge_param else None) or [])
        for k, output in enumerate(outputs):
            indices = [int(i) for i in (choices[k].indice or [])] if k < len(choices) else []
            known = [i for i in indices if 0 <= i < len(inputs) and str(inputs[i].name) in written]
            if known:
                last = max(known, key=lambda i: written[str(inputs[i].name)])
                self._move(inputs, last, output, position)

    def _move(self, inputs: list[Table], index: int, output: Table, position: int) -> None:
        if not 0 <= index < len(inputs):
            raise DataError(f"{self.where} subnet {position}: there is no input {index}")
        source = inputs[index]
        if source.device_addr != output.device_addr:
            count = min(int(source.size), int(output.size))
            self.machine.write(output.device_addr, self.machine.read(source.device_addr, count))
