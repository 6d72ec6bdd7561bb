"""What `audit classify` and `audit detect` have in common: the networks, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.audit.layers import read_layer_list
from bittrue.audit.limits import Limit, missed
from bittrue.audit.networks import Network, float_network, quantized_network
from bittrue.calibrate.data import Records
from bittrue.cli.float_model import float_model_options, quantized_models, read_float_model
from bittrue.cli.output import audit_result, write_reports
from bittrue.errors import MismatchError, UsageError
from bittrue.graph.ir import Graph
from bittrue.quantize.model import QuantizedModel
from bittrue.report.audit_text import render_audit

_path = click.Path(path_type=Path)
Entry = dict[str, Any]


def task_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of both; `read_task` takes the first group, `finish_task` the last."""
    function = float_model_options(function)
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="List every sample or picture that differs."),
        click.option("--html", "html_file", type=_path, help="Write the HTML report."),
        click.option("--json", "json_file", type=_path, help="Write the result file."),
        click.option("--float-layers", metavar="FILE|A,B", help="Layers that stay in float."),
        click.option(
            "--quantized",
            multiple=True,
            type=_path,
            help="A compiled model in place of --target: .bmodel, folder, .onnx.",
        ),
        click.option("--precision", default="int8", show_default=True),
        click.option("--target", "targets", help="Chip, or several separated by commas."),
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class Task:
    """The float network, and every quantized model with its network; all have the same names of outputs."""

    graph: Graph
    records: Records
    float_network: Network
    quantized: list[tuple[QuantizedModel, Network]]


def read_task(
    model: Path,
    data: Path,
    *,
    targets: str | None,
    precision: str,
    quantized: Sequence[Path],
    float_layers: str | None,
    changes: dict[str, Any],
    **source: Any,
) -> Task:
    """Reads the float model, quantizes it for each target and loads the models given. Raises UsageError without any."""
    if not targets and not quantized:
        raise UsageError(f"{model}: --target or --quantized is needed")
    read = read_float_model(model, data, integer=bool(targets) and precision == "int8", **source)
    kept = frozenset(read_layer_list(float_layers) if float_layers else ())
    models = quantized_models(read, targets.split(",") if targets else (), precision, kept, changes)
    for path in quantized:
        loaded = api.load(path)
        api.apply_profile(loaded, **changes)
        models.append(loaded)
    outputs = read.graph.outputs
    return Task(
        read.graph, read.records, float_network(read.graph), [(m, quantized_network(m, outputs)) for m in models]
    )


def entry_of(model: QuantizedModel, part: str, content: Entry, limits: Sequence[Limit]) -> Entry:
    """What a stored result says of one quantized model."""
    entry: Entry = {"target": model.target, "precision": model.precision, part: content}
    return entry | ({"limits": [limit.as_dict() for limit in limits]} if limits else {})


def finish_task(
    name: str,
    task: Task,
    entries: Sequence[Entry],
    sentences: Sequence[str],
    files: dict[str, Path | None],
    verbose: bool,
    more: Entry | None = None,
    warnings: Sequence[str] = (),
) -> None:
    """Prints and writes the result; raises MismatchError if a limit was missed.

    sentences: one for each entry. more: further parts of the audit that all entries share.
    """
    result = audit_result("audit", name, [m for m, _ in task.quantized])
    result.warnings += warnings
    result.audit = (dict(entries[0]) if len(entries) == 1 else {"targets": list(entries)}) | (more or {})
    wrong = [f"{e['target']}: {text}" for e in entries for text in missed(e.get("limits", []))]
    told = [f"{e['target']}: {text}" for e, text in zip(entries, sentences, strict=True)]
    result.summary.passed = not wrong
    result.summary.sentence = "; ".join(wrong or told)
    click.echo("\n".join([*render_audit(result.audit, verbose=verbose), *(f"warning: {text}" for text in warnings)]))
    write_reports(result, files)
    if wrong:
        raise MismatchError(result.summary.sentence)
