"""Stages of a context directory: which are chosen, and running them without their reference outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.compiler import from_sections
from bittrue.containers.bmodel import Bmodel, StageRef
from bittrue.containers.bmodel_codes import array_dtype
from bittrue.containers.build import read_compiled, stage_kind
from bittrue.containers.context_dir import INPUTS, ContextDir
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.errors import UnsupportedError, UsageError
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]


def open_stage(
    model: Bmodel, ref: StageRef, *, path: str | None = None, threads: int | None = None
) -> Session | InstructionSession:
    """A runnable stage. path, threads: see `Session`. Raises UnsupportedError for stages that cannot be simulated."""
    kind = stage_kind(ref.stage)
    if kind == "instructions":
        return InstructionSession(model, ref, path=path, threads=threads)
    if kind != "bittrue":
        raise UnsupportedError(f"network '{ref.net.name}' stage {ref.stage_index}: {kind.replace('_', ' ')}")
    compiled = read_compiled(ref.stage)
    return Session(from_sections(compiled.sections, compiled.coefficients).graph, path=path, threads=threads)


@dataclass(frozen=True)
class Choice:
    """Which stages run, and how. net_idx, stage_idx: None means all."""

    net_idx: int | None = None
    stage_idx: int | None = None
    path: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class StageRun:
    """A stage that ran. session: as it stands after the run."""

    ref: StageRef
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    session: Session | InstructionSession


def chosen_stages(context: ContextDir, choice: Choice) -> list[tuple[int, StageRef]]:
    """The chosen stages with their positions in the directory, net-major. Raises UsageError if there is none."""
    stages = list(enumerate(context.model.stages()))
    of_net = [(k, s) for k, s in stages if choice.net_idx in (None, s.net_index)]
    if not of_net:
        raise UsageError(f"{context.path}: no network {choice.net_idx}")
    chosen = [(k, s) for k, s in of_net if choice.stage_idx in (None, s.stage_index)]
    if not chosen:
        raise UsageError(f"{context.path}: no stage {choice.stage_idx}")
    return chosen


def run_stages(context: ContextDir, choice: Choice, inputs: list[dict[str, Array]]) -> Iterator[StageRun]:
    """Runs the chosen stages. inputs: of every stage of the directory, net-major.

    Raises what `chosen_stages`, `open_stage` and the run raise.
    """
    for k, ref in chosen_stages(context, choice):
        session = open_stage(context.model, ref, path=choice.path, threads=choice.threads)
        yield StageRun(ref, inputs[k], session.run(inputs[k]).outputs, session)


def inputs_or_zeros(context: ContextDir) -> tuple[list[dict[str, Array]], bool]:
    """Inputs of every stage, and whether they are reference data; zeros where the directory has none."""
    if (context.path / INPUTS).is_file():
        return context.inputs, True
    return [{t.name: np.zeros(t.shape, array_dtype(t.dtype)) for t in io.inputs} for io in context.io], False
