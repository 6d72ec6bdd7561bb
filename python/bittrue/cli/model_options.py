"""Options of the verbs that read a float model."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.calibrate.data import Records
from bittrue.calibrate.transform import Transform
from bittrue.errors import DataError, UnsupportedError, UsageError
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


def data_layer_records(model: Path, graph: Graph, options: dict[str, Any], limit: int | None) -> Records:
    """Records of the Data layer of a prototxt, as its transform_param makes inputs of them. Raises UsageError for
    models of other formats, which name no data."""
    if model.suffix.lower() != ".prototxt":
        raise UsageError("--data is needed")
    layer = read_data_layer(model, allow_unknown_fields=options["allow_unknown_fields"])
    try:
        transform = Transform(layer.transform, layer.folder)
    except (DataError, UnsupportedError) as e:
        raise type(e)(f"{model}: {e}") from e
    return api.records(graph, layer.source, limit=limit, transform=transform, any_shape=True)


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
