"""`bittrue import MODEL -o float.onnx`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.graph.onnx_io import to_onnx
from bittrue.graph.passes import PASSES
from bittrue.importers import load_float_graph


@click.command("import")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="ONNX file to write.")
@click.option("--shape", "shapes", multiple=True, help="Shape of an input, name=1x3x224x224.")
@click.option("--disable-pass", "disabled", multiple=True, type=click.Choice(list(PASSES)), help="Skip a graph pass.")
def import_command(model: Path, output: Path, shapes: tuple[str, ...], disabled: tuple[str, ...]) -> None:
    """Read a model and write the float graph that calibration and quantization work on.

    \b
    Example:
      bittrue import model.onnx --shape input=1x3x224x224 -o float.onnx
    """
    graph = load_float_graph(model, input_shapes=api.parse_shapes(shapes), disabled_passes=disabled)
    output.parent.mkdir(parents=True, exist_ok=True)
    api.write_atomic(output, to_onnx(graph).SerializeToString())
    click.echo(
        f"{output}: {len(graph.nodes)} nodes, inputs {', '.join(graph.inputs)}, outputs {', '.join(graph.outputs)}"
    )
