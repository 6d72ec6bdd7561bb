"""The INT8 umodel: the float blobs of a network, the integers they become beside them, and the record of the
calibration, from which the network is lowered again for any batch.

The vendor's own extra fields of layers and networks are unpublished, so the record travels in field 29000 [assumed],
and an INT8 umodel of the vendor's tools cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from bittrue.calibrate.table import Threshold
from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph, Node
from bittrue.graph.rewrites import Rewrites
from bittrue.importers.caffe.schema import new_message
from bittrue.quantize.context import QuantizeOptions
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize
from bittrue.targets.bm1684.winograd import TILES, stored_weights
from bittrue.vendor.sophgo.umodel.layers import nodes_of_layers
from bittrue.vendor.sophgo.umodel.network import Array, Network

SCHEMA = "bittrue-umodel/1"
WEIGHTED = ("Conv2d", "ConvTranspose2d", "MatMul")
BIT_WIDTHS = {1: 0, 2: 1, 4: 2}  # bytes of an element -> bit_width
ELEMENTS = {"float32": 0, "int8": 2, "uint8": 3, "int16": 4, "int32": 6}  # dtype of a blob


@dataclass
class Quantization:
    """What a calibration decided. tensors: thresholds by blob. rewrites: of the float graph before it."""

    target: str
    tensors: dict[str, Threshold]
    method: str
    samples: int
    rewrites: Rewrites = field(default_factory=Rewrites)

    def lower(self, graph: Graph, network: Network, *, winograd: bool = False) -> QuantizedModel:
        """The quantized network of a float graph, to which the rewrites were applied already. Layers of the prototxt
        with `forward_with_float` stay in float; those with `use_winograd` run as Winograd where the target has it, or
        with `winograd` all that do not say otherwise."""
        layers = network.proto.layer
        floats = [n.name for n in layers if n.forward_with_float]
        convs = [n for n in layers if n.type == "Convolution"]
        asked = [n.name for n in convs if n.use_winograd or (winograd and not n.HasField("use_winograd"))]
        options = QuantizeOptions(
            float_layers=frozenset(nodes_of_layers(graph, network, floats)),
            winograd=frozenset(nodes_of_layers(graph, network, asked)),
        )
        return quantize(graph, self.tensors, self.target, options=options)

    def to_bytes(self) -> bytes:
        content = {"schema": SCHEMA, **asdict(self)}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Quantization:
        """Inverse of `to_bytes`. Raises DataError."""
        try:
            content = json.loads(data)
            if content.pop("schema") != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
            content["tensors"] = {n: Threshold(**t) for n, t in content["tensors"].items()}
            content["rewrites"] = Rewrites(**content["rewrites"])
            return Quantization(**content)
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise DataError(f"the record of the calibration is broken ({e})") from e


def int8_umodel(
    network: Network, model: QuantizedModel, quantization: Quantization, winograd: QuantizedModel | None = None
) -> Any:
    """The Umodel message of a network (deploy form) and its quantized model. winograd: the same network with Winograd,
    whose weights are stored beside the others."""
    message = network.float_umodel()
    message.quantization = quantization.to_bytes()
    nodes = {n.name: n for n in model.graph.nodes if n.op in WEIGHTED}
    for layer in message.layer:
        node = nodes.get(layer.name) or nodes.get(f"{layer.name}/product")
        if node is None:
            continue
        for blob, constant in zip(layer.blobs, node.inputs[1:], strict=False):
            _fill(blob, model.graph.constants[constant])
        _fill_scale(layer.blobs[0], node, model)
    for node in winograd.graph.nodes if winograd else ():
        layer = next((n for n in message.layer if node.name == f"{n.name}/{TILES}"), None)
        if layer is not None and winograd is not None:
            blob = layer.blobs[0]
            blob.winograd_right_shift_num = node.attrs["shift"][0]
            blob.winograd_data_fixpoint.extend(
                stored_weights(winograd.graph.constants[node.inputs[1]]).ravel().tolist()
            )
    return message


def _fill(blob: Any, value: Array) -> None:
    blob.dtype, blob.bit_width = ELEMENTS[value.dtype.name], BIT_WIDTHS[value.dtype.itemsize]
    blob.fixed_sign_type = int(value.dtype.kind == "i")
    if value.dtype.itemsize == 1:
        blob.int8_data = np.ascontiguousarray(value).tobytes()
    else:
        blob.int32_data.extend(value.ravel().tolist())


def _fill_scale(blob: Any, node: Node, model: QuantizedModel) -> None:
    """Scale of the weights: w = q * multiplier / 2^shift * Sy / Sx."""
    ends = [model.tensors.get(name) for name in (node.inputs[0], node.outputs[0])]
    if ends[0] is None or ends[1] is None or "shift" not in node.attrs:
        return
    shifts = np.asarray(node.attrs["shift"], np.float64)
    factors = np.asarray(node.attrs.get("multiplier", [1]), np.float64) / 2.0**shifts * ends[1].scale / ends[0].scale
    if len(shifts) == 1:
        blob.right_shift_num, blob.scaleToFloat = int(shifts[0]), float(factors[0])
    else:
        blob.per_channel_en = True
        blob.scaleToFloatPerChannel.extend(factors.tolist())


def is_int8_umodel(path: Path) -> bool:
    """Whether any blob of a umodel holds integers. Raises DataError for broken files."""
    return any(b.HasField("int8_data") or b.int32_data for layer in read_umodel(path).layer for b in layer.blobs)


def read_umodel(path: Path) -> Any:
    """The Umodel message of a file. Raises DataError for files that are missing or broken."""
    message = new_message("Umodel")
    try:
        message.ParseFromString(path.read_bytes())
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror or e})") from e
    except DecodeError as e:
        raise DataError(f"{path}: not a umodel, or cut off") from e
    return message


@dataclass
class QuantizedNetwork:
    """An INT8 umodel opened with its prototxt: the network, its float graph, and the quantized model."""

    network: Network
    graph: Graph
    quantization: Quantization
    model: QuantizedModel


def open_int8(
    prototxt: Path,
    umodel: Path,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    winograd: bool = False,
    allow_unknown_fields: bool = False,
) -> QuantizedNetwork:
    """Lowers an INT8 umodel for the shapes of its prototxt, or for those given. winograd: see `Quantization.lower`.

    Raises UnsupportedError for a umodel of the vendor's own tools, DataError for a prototxt of another network and
    for integers that do not follow from the float weights and thresholds beside them.
    """
    message = read_umodel(umodel)
    if not message.quantization:
        raise UnsupportedError(f"{umodel}: not readable: vendor layer extensions are unpublished")
    try:
        quantization = Quantization.from_bytes(message.quantization)
    except DataError as e:
        raise DataError(f"{umodel}: {e}") from e
    network = Network.read(prototxt, umodel, allow_unknown_fields=allow_unknown_fields)
    graph = network.graph(shapes)
    quantization.rewrites.apply(graph)
    try:
        model = quantization.lower(graph, network, winograd=winograd)
    except DataError as e:
        raise DataError(f"{umodel}: {e}; is it the umodel of {prototxt}?") from e
    _check_integers(umodel, message, int8_umodel(network, model, quantization))
    return QuantizedNetwork(network, graph, quantization, model)


def _check_integers(path: Path, stored: Any, lowered: Any) -> None:
    """The stored integers must be what the network computes with. Layers that run in float hold none in `lowered`."""
    made = {layer.name: layer for layer in lowered.layer}
    for layer in stored.layer:
        for position, blob in enumerate(layer.blobs):
            other = made[layer.name].blobs[position] if layer.name in made else None
            if other is None or not (other.HasField("int8_data") or other.int32_data):
                continue
            if blob.int8_data != other.int8_data or list(blob.int32_data) != list(other.int32_data):
                raise DataError(
                    f"{path}: layer '{layer.name}': the integers of blob {position} are not those that its float "
                    "values and the thresholds give"
                )
