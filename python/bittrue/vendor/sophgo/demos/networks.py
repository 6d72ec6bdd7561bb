"""The two networks of a demo, from whatever files describe them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bittrue.audit.networks import Network, quantized_network
from bittrue.calibrate.data import Preprocess
from bittrue.errors import UsageError
from bittrue.graph.ir import Graph
from bittrue.importers import CaffeOptions, load_float_graph
from bittrue.model_files import load
from bittrue.vendor.sophgo.arguments import Option, Parsed, parse_names
from bittrue.vendor.sophgo.umodel import is_int8_umodel, open_int8

Shapes = Mapping[str, tuple[int, ...]]
# How pictures become inputs; a prototxt for deployment does not say.
PICTURE_OPTIONS = (
    Option("mean", "text", "Subtracted from pixels 0..255: one number or one per channel", "0"),
    Option("scale", "text", "Factor(s) after the mean", "1"),
    Option("channels", "text", "Order of the channels", "BGR", choices=("BGR", "RGB", "GRAY")),
)


def picture_options(options: Parsed) -> Preprocess:
    """Raises UsageError for lists that are not numbers."""

    def numbers(name: str) -> list[float]:
        try:
            return [float(v) for v in parse_names(options[name])]
        except ValueError:
            raise UsageError(f"--{name}={options[name]}: numbers separated by commas are needed") from None

    return Preprocess(mean=numbers("mean"), scale=numbers("scale"), channels=options["channels"])


def is_compiled(path: Path) -> bool:
    """Whether a path is a model that this project compiled, not weights."""
    return path.is_dir() or path.suffix.lower() in (".bmodel", ".onnx")


def float_graph(model: Path, weights: Path | None, shapes: Shapes | None = None) -> Graph:
    """A prototxt with its caffemodel or float umodel, or another float model. shapes: of inputs without any.

    Raises what `load_float_graph` raises.
    """
    return load_float_graph(model, input_shapes=shapes, caffe=CaffeOptions(weights))


def umodel_networks(prototxt: Path, umodel: Path, shapes: Shapes | None = None) -> tuple[Graph, Network]:
    """The float graph and the INT8 network of a prototxt and its INT8 umodel, which holds the float weights as well.

    shapes: of inputs without any. Raises UsageError for float weights, and what `open_int8` raises.
    """
    if not is_int8_umodel(umodel):
        raise UsageError(f"{umodel}: holds float weights, an INT8 umodel is needed")
    opened = open_int8(prototxt, umodel, shapes=shapes)
    return opened.graph, quantized_network(opened.model, opened.graph.outputs, name="int8")


def compiled_network(path: Path, graph: Graph) -> Network:
    """The network of a context directory, .bmodel or quantized .onnx of a float graph. Raises what `load` raises."""
    return quantized_network(load(path), graph.outputs, name="int8")
