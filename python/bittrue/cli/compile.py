"""`bittrue compile MODEL --target T ... --outdir DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.audit.layers import read_layer_list
from bittrue.calibrate.table import CalibrationTable
from bittrue.cli.arithmetic_options import arithmetic_options
from bittrue.cli.data_options import preprocess_from, preprocess_options
from bittrue.cli.model_options import load_model, model_options
from bittrue.errors import UsageError
from bittrue.graph.ir import Graph
from bittrue.quantize.float_sets import FLOAT_SETS


def kept_in_float(graph: Graph, layers: str | None, options: dict[str, Any]) -> set[str]:
    """Layers that stay in float, by their list and by the three sets. Raises UsageError for unknown names in a set."""
    chosen = set(read_layer_list(layers)) if layers else set()
    known = {n.name for n in graph.nodes}
    for option, set_of in FLOAT_SETS.items():
        names = read_layer_list(options[option]) if options[option] else []
        if unknown := [n for n in names if n not in known]:
            raise UsageError(f"--{option.replace('_', '-')}: no layer '{unknown[0]}'")
        chosen |= set_of(graph, names) if names else set()
    return chosen


@click.command("compile")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Chip, for instance bm1684 (see `bittrue targets list`).")
@click.option("--precision", default="int8", show_default=True, help="int8 or fp32, as the target offers.")
@click.option("--table", type=click.Path(path_type=Path), help="Calibration table (text or JSON).")
@click.option("--data", type=click.Path(path_type=Path), help="Calibration data; also the reference inputs.")
@click.option("--method", default="kl", show_default=True, help="Threshold method when calibrating here.")
@click.option("--iterations", type=int, help="Use only the first N samples.")
@click.option("--outdir", type=click.Path(path_type=Path), required=True, help="Context directory to write.")
@click.option("--net-name", help="Network name in the bmodel; default: the model's file name.")
@click.option("--quant-input", is_flag=True, help="The network takes quantized inputs.")
@click.option("--quant-output", is_flag=True, help="The network returns quantized outputs.")
@click.option("--float-layers", metavar="FILE|A,B", help="Layers that stay in float, as `tune --write-layers` writes.")
@click.option("--fpfwd-inputs", metavar="A,B", help="These layers and all before them stay in float.")
@click.option("--fpfwd-outputs", metavar="A,B", help="These layers and all after them stay in float.")
@click.option("--fpfwd-blocks", metavar="A,B", help="These layers, up to the next computing one, stay in float.")
@click.option("--winograd", is_flag=True, help="bm1684: 3x3 convolutions as Winograd F(2,3), as far as they can be.")
@arithmetic_options()
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random reference inputs without --data.")
@model_options
@preprocess_options
def compile_command(
    model: Path,
    target: str,
    precision: str,
    table: Path | None,
    data: Path | None,
    method: str,
    iterations: int | None,
    outdir: Path,
    net_name: str | None,
    quant_input: bool,
    quant_output: bool,
    float_layers: str | None,
    winograd: bool,
    changes: dict[str, Any],
    seed: int,
    **options: Any,
) -> None:
    """Quantize a float model for a target and write a context directory.

    The directory holds compilation.bmodel, input_ref_data.dat, output_ref_data.dat, io_info.dat, layers_ref.npz and
    manifest.json. The reference data is computed by an implementation that shares no code with the simulator.

    \b
    Example:
      bittrue compile model.onnx --target bm1684 --data images/ --outdir out/bm1684
      bittrue compile deploy.prototxt --weights net.caffemodel --target bm1684 --precision fp32 --outdir out
    """
    if precision == "int8" and table is None and data is None:
        raise UsageError("int8 needs --table or --data")
    graph = load_model(model, options)
    weights = options["weights"] or model  # the file whose digest tells tables of other models apart
    records = api.records(graph, data, preprocess_from(options), iterations) if data else None
    if precision == "int8":
        thresholds = (
            CalibrationTable.read(table)
            if table
            else api.calibrate(graph, records or [], method=method, model_path=weights)
        )
    else:
        thresholds = None
    compiled = api.compile(
        graph,
        target,
        outdir,
        precision=precision,
        table=thresholds,
        reference=next(iter(records)).feeds if records else None,
        net_name=net_name or model.stem,
        model_path=weights,
        quant_input=quant_input,
        quant_output=quant_output,
        float_layers=kept_in_float(graph, float_layers, options),
        winograd=winograd,
        **changes,
        seed=seed,
    )
    click.echo(f"{outdir}: {len(compiled.graph.nodes)} layers for {compiled.target} {compiled.precision}")
