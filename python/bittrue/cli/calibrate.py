"""`bittrue calibrate MODEL --data D --method M -o TABLE`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.calibrate.methods import METHODS, Parameters
from bittrue.cli.data_options import preprocess_from, preprocess_options
from bittrue.cli.model_options import data_layer_records, load_model, model_options


@click.command("calibrate")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Pictures, .npy/.npz, a folder, an LMDB or a list; without it, the Data layer of a prototxt.",
)
@click.option("--method", default="kl", show_default=True, help=f"One of {', '.join(sorted(METHODS))}.")
@click.option("--variant", default="tpumlir", show_default=True, help="kl: tpumlir or nvidia; mse: tpumlir or native.")
@click.option("--bins", type=click.IntRange(128), default=2048, show_default=True)
@click.option("--percentile", type=click.FloatRange(0, 1), default=0.9999, show_default=True)
@click.option("--iterations", type=click.IntRange(1), help="Use only the first N samples.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Table; JSON if named *.json.")
@model_options
@preprocess_options
def calibrate_command(
    model: Path,
    data: Path | None,
    method: str,
    variant: str,
    bins: int,
    percentile: float,
    iterations: int | None,
    output: Path,
    **options: Any,
) -> None:
    """Derive the threshold of every activation from data.

    \b
    Example:
      bittrue calibrate model.onnx --data images/ --method kl --mean 127 --scale 0.0078125 -o model.table
      bittrue calibrate test.prototxt --weights net.caffemodel --shape data=1x3x224x224 -o net.table
    """
    graph = load_model(model, options)
    if data is None:
        records = data_layer_records(model, graph, options, iterations)
    else:
        records = api.records(graph, data, preprocess_from(options), iterations)
    parameters = Parameters(bins=bins, percentile=percentile, variant=variant)
    weights = options["weights"] or model  # the file whose digest tells tables of other models apart
    table = api.calibrate(graph, records, method=method, parameters=parameters, model_path=weights, progress=True)
    table.write(output)
    click.echo(f"{output}: {len(table.tensors)} tensors, {table.samples} samples, method {table.method}")
