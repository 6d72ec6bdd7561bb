"""`bittrue import MODEL -o float.onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.cli.model_options import load_model, model_options
from bittrue.graph.onnx_io import to_onnx
from bittrue.graph.passes import PASSES


@click.command("import")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="ONNX file to write.")
@model_options
@click.option("--disable-pass", "disabled", multiple=True, type=click.Choice(list(PASSES)), help="Skip a graph pass.")
def import_command(model: Path, output: Path, disabled: tuple[str, ...], **options: Any) -> None:
    """Read a model and write the float graph that calibration and quantization work on.

    \b
    Example:
      bittrue import model.onnx --shape input=1x3x224x224 -o float.onnx
      bittrue import deploy.prototxt --weights net.caffemodel -o float.onnx
    """
    graph = load_model(model, options, disabled)
    output.parent.mkdir(parents=True, exist_ok=True)
    api.write_atomic(output, to_onnx(graph).SerializeToString())
    click.echo(
        f"{output}: {len(graph.nodes)} nodes, inputs {', '.join(graph.inputs)}, outputs {', '.join(graph.outputs)}"
    )
