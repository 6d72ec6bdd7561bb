"""`bittrue tune MODEL --target T --data D --budget layers=5`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.audit.layers import layer_list
from bittrue.audit.tune import METRICS, check_upgrade
from bittrue.cli.float_model import float_model_options
from bittrue.cli.output import audit_result, write_reports
from bittrue.cli.progress import steps
from bittrue.cli.sensitivity import read_network
from bittrue.cli.tune_auto import AutoFiles, Goal, auto_tune
from bittrue.errors import UsageError
from bittrue.report.audit_text import render_audit
from bittrue.targets.loader import load_target

_path = click.Path(path_type=Path)


@click.command("tune")
@click.argument("model", type=_path)
@click.option("--target", required=True, help="Chip, for instance bm1684.")
@click.option("--data", type=_path, required=True, help=".npz with 'label', pictures, tensors.")
@click.option("--budget", help="What may leave int8: layers=5, macs=10% or bytes=10% (of the weights).")
@click.option("--auto", is_flag=True, help="Search threshold methods, rewrites and float layers until the goal is met.")
@click.option("--accuracy-drop", type=float, default=0.01, show_default=True, help="Goal of --auto.")
@click.option("--all", "exhaustive", is_flag=True, help="--auto goes on after the goal is met.")
@click.option("--write-table", type=_path, help="--auto: write the calibration table of the best settings.")
@click.option("--metric", type=click.Choice(METRICS), default="sqnr", show_default=True)
@click.option("--upgrade", type=click.Choice(["float", "int16"]), default="float", show_default=True)
@click.option("--write-layers", "layers_file", type=_path, help="Write the chosen layers for `compile --float-layers`.")
@click.option("--threads", type=int, help="Threads; the result does not depend on it.")
@click.option("--json", "json_file", type=_path, help="Write the result file.")
@click.option("--html", "html_file", type=_path, help="Write the HTML report.")
@click.option("-v", "--verbose", is_flag=True, help="List every simulated network, not only the best for their cost.")
@float_model_options
def tune_command(
    model: Path,
    target: str,
    data: Path,
    budget: str | None,
    auto: bool,
    accuracy_drop: float,
    exhaustive: bool,
    write_table: Path | None,
    metric: str,
    upgrade: str,
    layers_file: Path | None,
    threads: int | None,
    json_file: Path | None,
    html_file: Path | None,
    verbose: bool,
    changes: dict[str, Any],
    **source: Any,
) -> None:
    """Propose layers to leave in float under a budget. Layers are tried in order of their sensitivity, each step is
    verified by simulating the whole network, and the networks that are best for their cost are listed.

    With --auto nothing is proposed by hand: threshold methods are tried, then rewrites of the graph, then layers in
    float, until top-1 (of labelled data) or the cosine of the worst output is within --accuracy-drop of float. Every
    trial is a line of a table; the best settings are kept. Exit code 1 if none reaches the goal.

    \b
    Example:
      bittrue tune model.onnx --target bm1684 --calibration images/ --data labelled.npz --auto --write-table best.json
      bittrue tune model.onnx --target bm1684 --data labelled.npz --budget macs=10% --write-layers float.txt
      bittrue compile model.onnx --target bm1684 --data images/ --float-layers float.txt --outdir out
    """
    if auto == bool(budget):
        raise UsageError("--budget or --auto: one of them is needed")
    if auto:
        files = AutoFiles(layers_file, write_table, {"json": json_file, "html": html_file})
        auto_tune(model, target, data, Goal(accuracy_drop, exhaustive), files, changes, threads, source)
        return
    assert budget is not None
    limit = api.Budget.parse(budget)
    check_upgrade(load_target(target).profile, upgrade)
    network = read_network(model, target, data, changes, threads, source)
    with steps("tune", 3 * len(network.layers)) as progress:
        tuning = api.tune(network, limit, metric=metric, upgrade=upgrade, progress=progress)
    result = audit_result("tune", model.stem, [network.whole], threads)
    result.audit = {"sensitivity": tuning.ranking.as_dict(), "tune": tuning.as_dict()}
    result.summary.passed = True
    result.summary.sentence = f"{len(tuning.chosen.layers)} layers of {len(network.layers)} in float under {budget}"
    click.echo("\n".join(render_audit(result.audit, verbose=verbose)))
    if layers_file:
        api.write_text(layers_file, layer_list(tuning.chosen.layers, f"float layers of {model.name} on {target}"))
    write_reports(result, {"json": json_file, "html": html_file})
