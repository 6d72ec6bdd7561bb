"""Options of the verbs that read a float model."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.calibrate.layer_data import LayerData
from bittrue.errors import UsageError
from bittrue.graph.ir import Graph
from bittrue.graph.rewrites import Rewrites
from bittrue.graph.shaped import ShapedGraphs
from bittrue.importers import CaffeOptions, load_float_graph
from bittrue.importers.caffe.data_layer import read_data_layer


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how a model file is read and rewritten before quantization."""
    for option in (
        click.option("--pad-value", type=float, default=0.0, help="Convolutions pad with this value instead of 0."),
        click.option("--group-channels", is_flag=True, help="Split convolutions by the range of output channels."),
        click.option(
            "--equalize", type=click.Choice(["exact", "powers_of_two"]), help="Equalize channels of layer pairs."
        ),
        click.option("--exact-prior-sizes", is_flag=True, help="Caffe: PriorBox keeps fractions of its sizes."),
        click.option("--allow-unknown-fields", is_flag=True, help="Caffe: skip fields the schema does not know."),
        click.option("--random-weights", type=int, help="Caffe: random weights from this seed."),
        click.option("--weights", type=click.Path(path_type=Path), help="Caffe: the caffemodel of a prototxt."),
        click.option("--shape", "shapes", multiple=True, help="Shape of an input, name=1x3x224x224."),
    ):
        function = option(function)
    return function


def layer_data(model: Path, options: dict[str, Any]) -> LayerData:
    """The data layer of a prototxt. Without `--shape`, its input gets the shape that the records have.

    Raises UsageError for models of other formats, which name no data, and DataError as `LayerData` does.
    """
    if model.suffix.lower() != ".prototxt":
        raise UsageError("--data is needed")
    data = LayerData.of(read_data_layer(model, allow_unknown_fields=options["allow_unknown_fields"]))
    shape, notes = data.shape()
    for note in notes:
        click.echo(f"warning: {note}", err=True)
    if not any(text.startswith(f"{data.layer.blob}=") for text in options["shapes"]):
        options["shapes"] = (*options["shapes"], f"{data.layer.blob}={'x'.join(map(str, shape))}")
    return data


def load_model(model: Path, options: dict[str, Any], disabled_passes: Collection[str] = ()) -> Graph:
    """The float graph of a model file, read and rewritten as the options say, with a remark on stderr for every
    rewrite. Raises what `load_float_graph` raises."""
    return load_shaped_model(model, options, disabled_passes).graph


def load_shaped_model(model: Path, options: dict[str, Any], disabled_passes: Collection[str] = ()) -> ShapedGraphs:
    """The same, for any shapes of its inputs that its layers take."""
    caffe = CaffeOptions(
        options["weights"],
        options["random_weights"],
        options["allow_unknown_fields"],
        options["exact_prior_sizes"],
    )
    rewrites = Rewrites(options["equalize"] or "", options["group_channels"], options["pad_value"])

    def load(shapes: dict[str, tuple[int, ...]], show: Callable[[str], None] = lambda note: None) -> Graph:
        graph = load_float_graph(model, input_shapes=shapes, disabled_passes=disabled_passes, caffe=caffe)
        for note in rewrites.apply(graph):
            show(f"{model}: {note}")
        return graph

    return ShapedGraphs(load(api.parse_shapes(options["shapes"]), lambda note: click.echo(note, err=True)), load)
