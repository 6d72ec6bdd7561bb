"""What `bittrue verify` does beside judging against reference data: running alone, and a second look at outputs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.compiler import digest
from bittrue.containers.context_dir import ContextDir
from bittrue.errors import UsageError
from bittrue.report.result import Result
from bittrue.verify.policy import Policy
from bittrue.verify.second_look import element_lines, only_order_differs
from bittrue.verify.stages import Choice, inputs_or_zeros, run_stages

SELECTION = {"directory", "net_idx", "stage_idx", "path", "threads"}


def refuse_others(mode: str, known: Collection[str]) -> None:
    """Raises UsageError for options that would be ignored."""
    context = click.get_current_context()
    given = (
        p
        for p in context.command.params
        if p.name and context.get_parameter_source(p.name) is not click.core.ParameterSource.DEFAULT
    )
    if refused := next((p for p in given if p.name not in known), None):
        raise UsageError(f"{mode} and {refused.opts[-1]}: give one of them")


def run_only(directory: Path, choice: Choice) -> None:
    """Prints what every output of the chosen stages is."""
    context = ContextDir.open(directory)
    inputs, real = inputs_or_zeros(context)
    count = 0
    for run in run_stages(context, choice, inputs):
        count += 1
        place = _place(str(run.ref.net.name), run.ref.stage_index)
        for name, value in run.outputs.items():
            click.echo(f"{place} output '{name}': {value.dtype} {list(value.shape)} sha256 {digest(value)[:16]}")
    source = "the reference inputs" if real else "zero input"
    click.echo(f"verify: {count} stages ran on {source}, nothing was compared")


def look_again(
    result: Result, directory: Path, choice: Choice, changes: dict[str, Any], policy: Policy, most: int, ties: bool
) -> None:
    """Runs stages with wrong outputs again: prints elements, and says where only the order of rows differs."""
    context = ContextDir.open(directory)
    positions = {(str(s.net.name), s.stage_index): k for k, s in enumerate(context.model.stages())}
    for stage in result.nets:
        wrong = [t for t in stage.tensors if t.role == "output" and not t.passed and t.n]
        if not wrong:
            continue
        k = positions[stage.name, stage.stage]
        session = api.open_session(
            directory, net=stage.name, stage=stage.stage, path_=choice.path, threads=choice.threads, **changes
        )
        outputs = session.run(context.inputs[k]).outputs
        for t in wrong:
            pair = context.outputs[k][t.name], outputs[t.name]
            for line in element_lines(*pair, most) if most else []:
                click.echo(f"{_place(stage.name, stage.stage)} output '{t.name}' {line}")
            if ties and only_order_differs(*pair, policy):
                t.detail = "order differs, values equal"
    result.summarize()


def _place(net: str, stage: int) -> str:
    return f"net[{net}] stage[{stage}]"
