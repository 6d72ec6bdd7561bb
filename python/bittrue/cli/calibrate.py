"""`bittrue calibrate MODEL --data D --method M -o TABLE`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click

from bittrue import api
from bittrue.calibrate import thresholds
from bittrue.calibrate.collect import collect
from bittrue.calibrate.distribution import (
    check_storable,
    merge_distributions,
    read_distribution,
    storable_methods,
    write_distribution,
)
from bittrue.calibrate.methods import METHODS, Parameters, find_method
from bittrue.cli.data_options import preprocess_from, preprocess_options
from bittrue.cli.model_options import layer_data, load_shaped_model, model_options
from bittrue.containers.context_dir import file_sha256
from bittrue.errors import UsageError

# What a file of statistics has decided, or takes the place of.
DECIDED = ("data", "dump_dist", "iterations", "bins", "variant", "one_pass")


def refuse_with_statistics() -> None:
    """Raises UsageError for options of the command line that do not go with --load-dist."""
    context = click.get_current_context()
    for name in DECIDED:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} does not go with --load-dist: the file has decided it")


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
@click.option("--one-pass", is_flag=True, help="Histogram that does not depend on the order of the records.")
@click.option("--dump-dist", type=click.Path(path_type=Path), help="Also write the statistics to this file (.npz).")
@click.option(
    "--load-dist",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Statistics in place of data; several files of different records are merged.",
)
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
    one_pass: bool,
    dump_dist: Path | None,
    load_dist: tuple[Path, ...],
    output: Path,
    **options: Any,
) -> None:
    """Derive the threshold of every activation from data.

    Records of another height and width than the model's are used as they are if its layers take any size.

    \b
    Example:
      bittrue calibrate model.onnx --data images/ --method kl --mean 127 --scale 0.0078125 -o model.table
      bittrue calibrate test.prototxt --weights net.caffemodel -o net.table
      bittrue calibrate model.onnx --data images/ --dump-dist net.npz -o kl.table
      bittrue calibrate model.onnx --load-dist net.npz --method percentile9999 -o percentile.table
    """
    if load_dist:
        refuse_with_statistics()
    from_layer = None if data or load_dist else layer_data(model, options)
    graphs = load_shaped_model(model, options)
    graph = graphs.graph
    weights = options["weights"] or model  # the file whose digest tells tables of other models apart
    sha256 = file_sha256(weights)
    if load_dist:
        check_storable(method)
        statistics = merge_distributions(load_dist, [read_distribution(p, graph) for p in load_dist])
        statistics.parameters = replace(statistics.parameters, percentile=percentile)
    else:
        if from_layer:
            records = from_layer.records(graph, iterations)
        else:
            records = api.records(graph, cast(Path, data), preprocess_from(options), iterations, any_shape=True)
        parameters = Parameters(bins=bins, percentile=percentile, variant=variant, one_pass=one_pass)
        if dump_dist:
            check_storable(method)
        methods = storable_methods(variant) if dump_dist else [find_method(method)]
        statistics = collect(graphs, records, methods, parameters, progress=True)
        if graphs.others:
            sizes = ", ".join("x".join(map(str, shape)) for shape in sorted(graphs.others)[:5])
            more = f" and {len(graphs.others) - 5} more" if len(graphs.others) > 5 else ""
            click.echo(f"{model}: read again for records of other shapes: {sizes}{more}", err=True)
    table = thresholds(statistics, method, model_sha256=sha256)
    if dump_dist:
        write_distribution(dump_dist, statistics, graph)
    table.write(output)
    click.echo(f"{output}: {len(table.tensors)} tensors, {table.samples} samples, method {table.method}")
