"""`bittrue golden make|verify|promote|diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue.cli.arithmetic_options import arithmetic_options
from bittrue.cli.output import Reports, finish, report_options
from bittrue.containers.archive import open_archive
from bittrue.regress import golden as golden_data
from bittrue.regress.golden import Golden
from bittrue.regress.subject import Origin, open_subject

LISTED = 6  # names of tensors
_path = click.Path(path_type=Path)
_model = click.option("--model", "other", type=_path, help="Another compiled model than the one it was made from.")


@click.group("golden")
def golden_group() -> None:
    """Golden data: keep what a compiled model computes, see any later drift, replace it only with a reason.

    \b
    Examples:
      bittrue golden make out/bm1684 golden/net --layers
      bittrue golden verify golden/net
      bittrue golden promote golden/net --reason "new weights after retraining"
    """


@golden_group.command("make")
@click.argument("source", type=_path)
@click.argument("folder", type=_path)
@click.option("--input", "input_file", type=_path, help=".npz; default: the reference inputs of a context directory.")
@click.option("--layers", is_flag=True, help="Keep the values of all layers, so that drift can be measured there.")
@click.option("--net", help="Network name, for files with several.")
@click.option("--stage", type=int, default=0, show_default=True)
@arithmetic_options()
def make_command(
    source: Path,
    folder: Path,
    input_file: Path | None,
    layers: bool,
    net: str | None,
    stage: int,
    changes: dict[str, Any],
) -> None:
    """Run SOURCE (context directory, .bmodel or quantized .onnx) and write golden data to FOLDER."""
    origin = Origin(source, net, stage, **changes)
    subject = open_subject(origin)
    inputs = dict(open_archive(input_file)) if input_file else origin.reference_inputs()
    manifest = golden_data.make(subject, inputs, folder, keep_layers=layers)
    kept = "values of all layers" if layers else "values of the outputs"
    click.echo(f"{folder}: hashes of {len(manifest.layers)} layers, {kept}, target {manifest.target}")


@golden_group.command("verify")
@click.argument("folder", type=_path)
@_model
@report_options
def verify_command(folder: Path, other: Path | None, reports: Reports) -> None:
    """Run the model again and say which layers drifted, the first of them, and by how much. Exit 1 on drift."""
    golden = Golden(folder)
    finish(golden_data.verify(golden, open_subject(golden.origin(other))), reports)


@golden_group.command("diff")
@click.argument("a", type=_path)
@click.argument("b", type=_path)
@report_options
def diff_command(a: Path, b: Path, reports: Reports) -> None:
    """Compare two golden folders made from the same inputs, without running anything. Exit 1 if they differ."""
    finish(golden_data.diff(Golden(a), Golden(b)), reports)


@golden_group.command("promote")
@click.argument("folder", type=_path)
@click.option("--reason", required=True, help="Why; kept in the history.")
@_model
def promote_command(folder: Path, reason: str, other: Path | None) -> None:
    """Replace golden data by a new run; the reason and the tensors that changed stay in its history."""
    golden = Golden(folder)
    manifest = golden_data.promote(golden, open_subject(golden.origin(other)), reason)
    changed = [c.name for c in manifest.history[-1].changed]
    more = f" and {len(changed) - LISTED} more" if len(changed) > LISTED else ""
    click.echo(f"{folder}: {len(changed)} tensors changed{': ' if changed else ''}{', '.join(changed[:LISTED])}{more}")
