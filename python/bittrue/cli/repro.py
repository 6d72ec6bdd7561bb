"""`bittrue repro RESULT --layer L -o DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.report.result import Result


@click.command("repro")
@click.argument("result_file", type=click.Path(path_type=Path))
@click.option("--layer", required=True, help="Layer or tensor.")
@click.option("-o", "--output", "outdir", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def repro_command(result_file: Path, layer: str, outdir: Path) -> None:
    """Write one layer that fails as a context directory of its own: its quantized graph, the reference's inputs and
    expected values, the target's rules and the command. It fails alone as it did in the network, which is checked.

    \b
    Example:
      bittrue verify -d net --layer_ref device.npz --json result.json
      bittrue repro result.json --layer conv3_2 -o conv3_2_bundle
      bittrue verify --context_dir conv3_2_bundle
    """
    bundle = api.repro(Result.load(result_file), layer, outdir)
    click.echo(
        f"{bundle.path}: {len(bundle.layers)} layers, tensor {bundle.tensor}: {bundle.n_bad} of {bundle.n} elements "
        f"differ when it runs alone: bittrue verify --context_dir {bundle.path}"
    )
