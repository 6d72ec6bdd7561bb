"""The layers of a network that run in the TEST phase, with every result under a name of its own.

Caffe writes blobs several times (in-place layers); here each writing has a name: the first keeps the blob's, later ones
are `<blob>_<layer>`. Of the blobs that the network returns the last writing keeps the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bittrue.errors import DataError

INPUT_TYPES = {
    "Input", "Data", "AnnotatedData", "DummyData", "ImageData", "MemoryData", "HDF5Data", "WindowData", "VideoData",
}  # fmt: skip
# Layers of training and scoring: left out, with what only they read.
DROPPED_TYPES = {
    "Accuracy", "SoftmaxWithLoss", "EuclideanLoss", "SigmoidCrossEntropyLoss", "HingeLoss", "InfogainLoss",
    "MultinomialLogisticLoss", "ContrastiveLoss", "MultiBoxLoss", "SmoothL1Loss", "CenterLoss", "RegionLoss",
    "Yolov3", "DetectionEvaluate", "EvalDetection", "HDF5Output",
}  # fmt: skip


@dataclass
class Layer:
    """One layer. bottoms, tops: names of results, each written once. proto: its LayerParameter."""

    name: str
    type: str
    proto: Any
    bottoms: list[str] = field(default_factory=list)
    tops: list[str] = field(default_factory=list)


@dataclass
class Net:
    """inputs: name -> shape, None where the file does not say."""

    name: str
    inputs: dict[str, tuple[int, ...] | None]
    layers: list[Layer]
    outputs: list[str]


def _matches(rule: Any, state: Any) -> bool:
    return not (
        (rule.HasField("phase") and rule.phase != state.phase)
        or (rule.HasField("min_level") and state.level < rule.min_level)
        or (rule.HasField("max_level") and state.level > rule.max_level)
        or not set(rule.stage) <= set(state.stage)
        or set(rule.not_stage) & set(state.stage)
    )


def _active(layer: Any, state: Any) -> bool:
    if layer.include and layer.exclude:
        raise DataError(f"layer '{layer.name}': both include and exclude")
    if layer.include:
        return any(_matches(rule, state) for rule in layer.include)
    return not any(_matches(rule, state) for rule in layer.exclude)


def active_layers(net: Any) -> list[Any]:
    """The layers of a NetParameter that its state runs. Raises DataError for contradicting rules."""
    return [layer for layer in net.layer if _active(layer, net.state)]


def _declared_inputs(net: Any) -> dict[str, tuple[int, ...] | None]:
    """Inputs of the `input:` fields, with `input_shape` or four `input_dim` each."""
    names, dims = list(net.input), list(net.input_dim)
    if net.input_shape:
        shapes = [tuple(s.dim) for s in net.input_shape]
    else:
        if len(dims) % 4:
            raise DataError(f"{len(dims)} input_dim, four an input are needed")
        shapes = [tuple(dims[i : i + 4]) for i in range(0, len(dims), 4)]
    if shapes and len(shapes) != len(names):
        raise DataError(f"{len(names)} inputs, but {len(shapes)} input shapes")
    return dict(zip(names, shapes, strict=True)) if shapes else dict.fromkeys(names)


def _layer_shapes(layer: Any) -> list[tuple[int, ...] | None]:
    """The shapes that an input layer states, one a top; data bases state none."""
    tops = len(layer.top)
    if layer.type == "Input":
        shapes = [tuple(s.dim) for s in layer.input_param.shape]
    elif layer.type == "DummyData":
        p = layer.dummy_data_param
        dims = (p.num, p.channels, p.height, p.width)
        shapes = [tuple(s.dim) for s in p.shape] or list(zip(*dims, strict=False))
    elif layer.type == "MemoryData":
        m = layer.memory_data_param
        shapes = [(m.batch_size, m.channels, m.height, m.width), (m.batch_size,)]
    else:
        return [None] * tops
    if len(shapes) == 1:
        shapes *= tops
    return [*shapes, *[None] * tops][:tops]


def unwritten_blobs(net: Any) -> list[str]:
    """Blobs that layers of a NetParameter read although none before them writes them, and that are no inputs."""
    written, unwritten = set(net.input), dict[str, None]()
    for layer in active_layers(net):
        if layer.type not in DROPPED_TYPES:
            unwritten |= dict.fromkeys(b for b in layer.bottom if b not in written)
        written.update(layer.top)
    return list(unwritten)


def read_net(net: Any, given: Mapping[str, tuple[int, ...] | None]) -> Net:
    """The network of a NetParameter.

    given: shapes of inputs that stand for those in the file; a blob that no layer writes becomes an input if it is
    among them. Raises DataError for blobs that nothing writes, or several layers write.
    """
    inputs = _declared_inputs(net)
    layers = active_layers(net)
    for layer in layers:
        if layer.type in INPUT_TYPES:
            for top, shape in zip(layer.top, _layer_shapes(layer), strict=True):
                if top in inputs:
                    raise DataError(f"layer '{layer.name}': input '{top}' exists already")
                inputs[top] = shape
    layers = [layer for layer in layers if layer.type not in INPUT_TYPES | DROPPED_TYPES]
    written = {top for layer in layers for top in layer.top} - set(inputs)
    inputs |= {name: shape for name, shape in given.items() if name not in written}
    resolved, outputs = _rename(inputs, layers, _unread(inputs, layers))
    read = {b for layer in resolved for b in layer.bottoms}
    return Net(
        net.name or "net",
        {name: shape for name, shape in inputs.items() if name in read},
        [layer for layer in resolved if layer.type != "Silence"],
        outputs,
    )


def _unread(inputs: dict[str, Any], layers: list[Any]) -> list[str]:
    """Blobs of layers whose last writing no layer reads, in the order of writing.

    Raises DataError for blobs read before they are written, and for blobs that several layers write.
    """
    written, made, unread = set(inputs), set(), dict.fromkeys(inputs)
    for layer in layers:
        for bottom in layer.bottom:
            if bottom not in written:
                raise DataError(
                    f"layer '{layer.name}' reads '{bottom}', which no layer before it writes; "
                    f"--shape {bottom}=... makes it an input"
                )
            unread.pop(bottom, None)
        for top in layer.top:
            if top in written and top not in layer.bottom:
                raise DataError(f"layer '{layer.name}' writes '{top}', which another layer wrote")
            written.add(top)
            made.add(top)
            unread[top] = None
    return [b for b in unread if b in made]


def _rename(inputs: dict[str, Any], layers: list[Any], outputs: list[str]) -> tuple[list[Layer], list[str]]:
    """Layers with each result under its own name, and the outputs by these names."""
    writings: dict[str, int] = {}
    for layer in layers:
        for top in layer.top:
            writings[top] = writings.get(top, 0) + 1
    taken = set(inputs) | set(writings)
    current = {name: name for name in inputs}
    seen: dict[str, int] = {}

    def name_of(blob: str, layer: Any) -> str:
        seen[blob] = seen.get(blob, 0) + 1
        keeper = writings[blob] if blob in outputs else 1
        if seen[blob] == keeper and blob not in inputs:
            return blob
        name = f"{blob}_{layer.name}"
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    resolved = []
    for layer in layers:
        bottoms = [current[b] for b in layer.bottom]
        tops = [name_of(t, layer) for t in layer.top]
        current |= dict(zip(layer.top, tops, strict=True))
        resolved.append(Layer(layer.name, layer.type, layer, bottoms, tops))
    return resolved, [current[o] for o in outputs]
