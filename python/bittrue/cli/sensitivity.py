"""`bittrue sensitivity MODEL --target T --data D`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.cli.float_model import float_model_options, read_float_model
from bittrue.cli.output import audit_result, write_reports
from bittrue.cli.progress import steps
from bittrue.report.audit_text import render_audit

_path = click.Path(path_type=Path)


def read_network(
    model: Path, target: str, data: Path, changes: dict[str, Any], threads: int | None, source: dict[str, Any]
) -> api.MixedNetwork:
    """The network with its calibration and all of its samples."""
    read = read_float_model(model, data, **source)
    assert read.thresholds
    return api.MixedNetwork(
        read.graph,
        read.thresholds.tensors,
        target,
        list(read.records),
        adjust=lambda m: api.apply_profile(m, **changes),
        threads=threads,
    )


@click.command("sensitivity")
@click.argument("model", type=_path)
@click.option("--target", required=True, help="Chip, for instance bm1684.")
@click.option("--data", type=_path, required=True, help=".npz with 'label', pictures, tensors.")
@click.option("--threads", type=int, help="Threads; the result does not depend on it.")
@click.option("--json", "json_file", type=_path, help="Write the result file.")
@click.option("--html", "html_file", type=_path, help="Write the HTML report.")
@float_model_options
def sensitivity_command(
    model: Path,
    target: str,
    data: Path,
    threads: int | None,
    json_file: Path | None,
    html_file: Path | None,
    changes: dict[str, Any],
    **source: Any,
) -> None:
    """Measure what each layer costs, by simulation: only this layer quantized and everything else exact, and the whole
    network quantized but for this layer. SQNR and cosine of the network outputs, top-1 on labelled data.

    \b
    Example:
      bittrue sensitivity model.onnx --target bm1684 --data labelled.npz --limit 64
    """
    network = read_network(model, target, data, changes, threads, source)
    with steps("sensitivity", 2 * len(network.layers)) as progress:
        found = api.sensitivity(network, progress)
    result = audit_result("sensitivity", model.stem, [network.whole], threads)
    result.audit = {"sensitivity": found.as_dict()}
    worst = found.layers[0]
    result.summary.passed = True
    result.summary.sentence = f"{worst.layer.name} costs most of {len(found.layers)} layers"
    click.echo("\n".join(render_audit(result.audit)))
    write_reports(result, {"json": json_file, "html": html_file})
