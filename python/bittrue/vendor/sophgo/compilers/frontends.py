"""What the compilers read: the files of a model, its inputs, and the network at given shapes.

A frontend is two functions of a `Source`: the inputs that it declares, and its network with every input's shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx.defs

from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.ir import Graph
from bittrue.importers.caffe import CaffeOptions, load_caffe
from bittrue.importers.caffe.net import INPUT_TYPES, read_net, unwritten_blobs
from bittrue.importers.caffe.read import read_prototxt
from bittrue.importers.caffe.writer import RULES
from bittrue.importers.onnx import declared_inputs, load_onnx
from bittrue.quantize.floating import FLOAT_OPS
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.movement import MOVEMENT
from bittrue.quantize.quantizer import quantize
from bittrue.targets.loader import load_target
from bittrue.targets.schema import Profile
from bittrue.vendor.sophgo.umodel import open_int8

Shape = tuple[int, ...]
Declared = tuple[int | None, ...] | None  # None: the file does not say
# Passes of the float graph that only save layers and buffers; what else runs is needed at every level of --opt.
FUSIONS = ("fuse_activation", "merge_reshapes")
FOLDED = ("BatchNormalization", "GlobalAveragePool", "GlobalMaxPool", "Pad", "Resize")


@dataclass(frozen=True)
class Source:
    """The files of a model and what the options say of reading them. weight: None for structure only, with random
    weights. int8: the umodel is a quantized one. winograd: its 3x3 convolutions run so where the target can."""

    tool: str
    model: Path
    weight: Path | None = None
    opt: int = 2
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    allow_unknown_fields: bool = False
    int8: bool = False
    winograd: bool = False


@dataclass(frozen=True)
class Lowered:
    """A network: its float graph, and what a target computes."""

    graph: Graph
    model: QuantizedModel


@dataclass(frozen=True)
class Frontend:
    """inputs: name -> shape as far as the files say it. load: the float graph at the shapes of all inputs, without the
    named passes. layers: the types that can be read and run."""

    inputs: Callable[[Source], dict[str, Declared]]
    load: Callable[[Source, Mapping[str, Shape], Collection[str]], Graph]
    layers: Callable[[], set[str]]


def _caffe_layers() -> set[str]:
    return set(RULES) | INPUT_TYPES


def _onnx_ops() -> set[str]:
    """What targets run, and what is folded into it; not what only computes constants."""
    return {op for op in (*FLOAT_OPS, *MOVEMENT, *FOLDED) if onnx.defs.has(op)}


def _caffe_inputs(source: Source) -> dict[str, Declared]:
    proto = read_prototxt(source.model, allow_unknown_fields=source.allow_unknown_fields)
    try:
        return dict(read_net(proto, dict.fromkeys(unwritten_blobs(proto))).inputs)
    except DataError as e:
        raise DataError(f"{source.model}: {e}") from e


def _load_caffe(source: Source, shapes: Mapping[str, Shape], disabled_passes: Collection[str]) -> Graph:
    seed = None if source.weight else 0
    options = CaffeOptions(source.weight, seed, allow_unknown_fields=source.allow_unknown_fields)
    return load_caffe(source.model, input_shapes=shapes, disabled_passes=disabled_passes, options=options)


def _onnx_inputs(source: Source) -> dict[str, Declared]:
    return declared_inputs(source.model, source.input_names, source.output_names)


def _load_onnx(source: Source, shapes: Mapping[str, Shape], disabled_passes: Collection[str]) -> Graph:
    return load_onnx(
        source.model,
        input_shapes=shapes,
        disabled_passes=disabled_passes,
        input_names=source.input_names,
        output_names=source.output_names,
    )


FRONTENDS: dict[str, Frontend] = {
    "bmnetc": Frontend(_caffe_inputs, _load_caffe, _caffe_layers),
    "bmneto": Frontend(_onnx_inputs, _load_onnx, _onnx_ops),
    "bmnetu": Frontend(_caffe_inputs, _load_caffe, _caffe_layers),
}


def load(source: Source, shapes: Mapping[str, Shape], disabled_passes: Collection[str] = ()) -> Graph:
    """The float graph of a source. Raises what its frontend raises, and DataError for weights that are no numbers."""
    graph = FRONTENDS[source.tool].load(source, shapes, disabled_passes)
    for name, value in graph.constants.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise DataError(f"{source.weight or source.model}: constant '{name}' holds NaN or infinity")
    return graph


def lower(source: Source, shapes: Mapping[str, Shape], target: str) -> Lowered:
    """A network as the target computes it. Raises what `load`, `quantize` and `open_int8` raise, UnsupportedError for a
    target without integers, and DataError for a umodel that was quantized for another one."""
    if source.int8 and source.weight:
        return _lower_int8(source, source.weight, shapes, load_target(target).profile)
    graph = load(source, shapes, FUSIONS if source.opt == 0 else ())
    return Lowered(graph, quantize(graph, None, target, precision="fp32"))


def _lower_int8(source: Source, weight: Path, shapes: Mapping[str, Shape], target: Profile) -> Lowered:
    if "int8" not in target.precisions:
        raise UnsupportedError(f"target {target.chip} runs {', '.join(target.precisions)} only; {weight} is INT8")
    opened = open_int8(
        source.model,
        weight,
        shapes=shapes,
        winograd=source.winograd,
        allow_unknown_fields=source.allow_unknown_fields,
    )
    if opened.model.target != target.name:
        raise DataError(f"{weight}: quantized for {opened.model.target}, not for {target.name}")
    return Lowered(opened.graph, opened.model)


def resolve_shapes(
    declared: Mapping[str, Declared], given: list[Shape], dyn: bool, max_n: int | None
) -> dict[str, Shape]:
    """The shape of every input, from the options and else from the model. max_n: the batch of all inputs. Inputs
    without dimensions take no shape.

    Raises UsageError, naming the option.
    """
    shaped = [name for name, own in declared.items() if own != ()]
    if given and len(given) != len(shaped):
        inputs = f"{len(shaped)} input" + ("s" if len(shaped) != 1 else "")
        shapes = f"{len(given)} shape" + ("s" if len(given) != 1 else "")
        raise UsageError(f"shapes: got {shapes}, the model has {inputs} ({', '.join(shaped)})")
    wanted = dict(zip(shaped, given, strict=True)) if given else {}
    return {name: _resolve(name, own, wanted.get(name), dyn, max_n) for name, own in declared.items()}


def _resolve(name: str, own: Declared, given: Shape | None, dyn: bool, max_n: int | None) -> Shape:
    where = f"shapes: input '{name}'"
    if given is not None and own is not None and len(given) != len(own):
        raise UsageError(f"{where} has {len(own)} dimensions, {list(given)} has {len(given)}")
    shape: list[Any] = list(given if given is not None else own or [])
    if not shape and own is None:
        raise UsageError(f"{where}: the model does not say its shape; --shapes is necessary")
    if -1 in shape and not dyn:
        raise UsageError(f"{where}: -1 is for networks compiled with --dyn")
    shape = [(own[k] if own else None) if d == -1 else d for k, d in enumerate(shape)]
    if max_n is not None and shape:
        if given is not None and shape[0] not in (max_n, None):
            raise UsageError(f"max_n: {max_n} contradicts the batch of {shape[0]} in --shapes of input '{name}'")
        shape[0] = max_n
    if None in shape:
        raise UsageError(f"{where}: the model does not say dimension {shape.index(None)}; give it with --shapes")
    if math.prod(shape) < 1:
        raise UsageError(f"{where}: {shape} has a dimension below 1")
    return tuple(shape)
