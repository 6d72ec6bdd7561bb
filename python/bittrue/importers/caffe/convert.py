"""A prototxt and its weights to the float graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.ir import Graph, TensorType
from bittrue.graph.passes import run_passes
from bittrue.importers.caffe import layers  # noqa: F401 register rules
from bittrue.importers.caffe.blobs import Blobs, RandomBlobs, TrainedBlobs
from bittrue.importers.caffe.net import Layer, Net, read_net
from bittrue.importers.caffe.read import read_caffemodel, read_prototxt
from bittrue.importers.caffe.writer import RULES, Writer


@dataclass(frozen=True)
class CaffeOptions:
    """weights: the caffemodel. random_weights: a seed, instead of a caffemodel. allow_unknown_fields: fields of the
    prototxt that the schema does not know are skipped. exact_prior_sizes: PriorBox keeps fractions of min_size and
    max_size, which Caffe-SSD cuts off."""

    weights: Path | None = None
    random_weights: int | None = None
    allow_unknown_fields: bool = False
    exact_prior_sizes: bool = False


def _blobs(path: Path, options: CaffeOptions) -> Blobs:
    if options.weights is not None and options.random_weights is not None:
        raise UsageError("--weights and --random-weights: give one of them")
    if options.weights is not None:
        return TrainedBlobs(options.weights, read_caffemodel(options.weights))
    if options.random_weights is not None:
        return RandomBlobs(options.random_weights)
    raise UsageError(f"{path}: its weights are in another file: --weights FILE.caffemodel (or --random-weights SEED)")


def _input_types(net: Net) -> dict[str, TensorType]:
    types = {}
    for name, shape in net.inputs.items():
        if shape is None:
            raise UsageError(f"the shape of input '{name}' is not in the prototxt; give --shape {name}=1x3x224x224")
        if not shape or min(shape) < 1:
            raise DataError(f"input '{name}' has shape {list(shape)}")
        types[name] = TensorType("float32", shape)
    return types


def _write_layers(graph: Graph, net: Net, blobs: Blobs, exact_prior_sizes: bool) -> None:
    """Raises UnsupportedError that lists all layers without a rule, or that their rules refuse; else DataError for the
    first layer whose weights do not fit."""
    problems: list[str] = []
    broken: DataError | None = None
    lost: set[str] = set()  # results of layers that cannot be written; what reads them is not to blame
    for layer in net.layers:
        if layer.type not in RULES:
            problems.append(f"layer '{layer.name}' ({layer.type or 'no type'}): no such layer")
        elif not lost.intersection(layer.bottoms):
            try:
                _write(Writer(graph, layer, blobs, exact_prior_sizes))
                continue
            except UnsupportedError as e:
                problems.append(str(e))
            except DataError as e:
                broken = broken or e
        lost.update(layer.tops)
    if problems:
        raise UnsupportedError("; ".join(problems))
    if broken:
        raise broken


def _write(w: Writer) -> None:
    layer: Layer = w.layer
    if not layer.tops or not layer.bottoms:
        raise w.error("no inputs or no results")
    try:
        RULES[layer.type](w)
    except (IndexError, ValueError, ArithmeticError) as e:  # what absurd parameters, shapes and counts lead to
        shapes = [list(w.shape(b)) for b in layer.bottoms]
        raise w.error(f"parameters, inputs {shapes} and {len(layer.tops)} results do not fit ({e})") from e
    except MemoryError as e:
        raise w.error("too large for the memory") from e
    except DataError as e:
        message = str(e)
        raise type(e)(message if f"'{layer.name}'" in message else f"layer '{layer.name}': {message}") from e
    missing = [t for t in layer.tops if t not in w.graph.types]
    if missing:
        raise w.error(f"{len(layer.tops)} results, it makes {len(layer.tops) - len(missing)}")


def graph_of_net(
    proto: Any,
    blobs: Blobs,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    disabled_passes: Collection[str] = (),
    exact_prior_sizes: bool = False,
) -> Graph:
    """The float graph of a NetParameter and its weights.

    The network is that of the TEST phase; losses and accuracies, and data that only they read, are left out; data
    layers become inputs. Raises DataError and UnsupportedError that name the layer, UsageError for missing shapes.
    """
    given = dict(input_shapes or {})
    net = read_net(proto, given)
    unknown = sorted(set(given) - set(net.inputs))
    if unknown:
        raise UsageError(f"no input '{unknown[0]}'; the network has {', '.join(net.inputs) or 'none'}")
    types = _input_types(net)
    if not net.outputs:
        raise DataError("the network has no outputs")
    graph = Graph(net.name, inputs=list(types), outputs=net.outputs, types=types)
    _write_layers(graph, net, blobs, exact_prior_sizes)
    run_passes(graph, disabled_passes)
    graph.check()
    return graph


def load_caffe(
    path: Path,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    disabled_passes: Collection[str] = (),
    options: CaffeOptions | None = None,
) -> Graph:
    """See `bittrue.importers.load_float_graph` and `graph_of_net`."""
    options = options or CaffeOptions()
    proto = read_prototxt(path, allow_unknown_fields=options.allow_unknown_fields)
    try:
        return graph_of_net(
            proto,
            _blobs(path, options),
            input_shapes=input_shapes,
            disabled_passes=disabled_passes,
            exact_prior_sizes=options.exact_prior_sizes,
        )
    except (DataError, UnsupportedError, UsageError) as e:
        named = str(e).startswith((f"{path}:", f"{options.weights}:"))
        raise type(e)(str(e) if named else f"{path}: {e}") from e
