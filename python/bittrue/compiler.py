"""A quantized model as the parts of a .bmodel stage, and back.

The graph travels as an ONNX protobuf in the payload (section GRPH) whose constants lie in the coefficient blob, one
Location each, so vendor tools list them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from bittrue import __version__
from bittrue.errors import DataError
from bittrue.graph.host_ops import runs_on_host
from bittrue.graph.ir import Graph, Node
from bittrue.graph.onnx_io import from_onnx, to_onnx
from bittrue.quantize.model import QuantizedModel, TensorQuant

Array = np.ndarray[Any, Any]

# Location suffix by (op, input position); other constants keep their own name.
CONSTANT_KINDS = {
    ("Conv2d", 1): "filter",
    ("Conv2d", 2): "bias",
    ("ConvTranspose2d", 1): "filter",
    ("ConvTranspose2d", 2): "bias",
    ("FloatConv2d", 1): "filter",
    ("FloatConv2d", 2): "bias",
    ("FloatConvTranspose2d", 1): "filter",
    ("FloatConvTranspose2d", 2): "bias",
    ("MatMul", 1): "filter",
    ("MatMul", 2): "bias",
    ("FloatMatMul", 1): "filter",
    ("FloatMatMul", 2): "bias",
    ("Lookup", 1): "table",
    ("LookupInterpolated", 1): "table",
    ("SoftmaxTable", 1): "table",
    ("SoftmaxFixed", 1): "table",
    ("Prelu", 1): "slope",
    ("ChannelScale", 1): "scale",
    ("ChannelScale", 2): "bias",
}


def location_names(graph: Graph) -> dict[str, str]:
    """Constant name -> Location name, `<layer>.<kind>` where the kind is known; unique."""
    names: dict[str, str] = {}
    for node in graph.nodes:
        for position, tensor in enumerate(node.inputs):
            kind = CONSTANT_KINDS.get((node.op, position))
            if tensor in graph.constants and tensor not in names:
                wanted = f"{node.name}.{kind}" if kind else tensor
                names[tensor] = wanted if wanted not in names.values() else tensor
    for tensor in graph.constants:
        names.setdefault(tensor, tensor)
    return names


def host_parts(graph: Graph) -> list[tuple[list[str], list[str], bytes]]:
    """(inputs, outputs, definition) of the parts that the chip and the host run in turn: nodes of the chip between ops
    of the host, with an empty definition, and every op of the host with its ONNX node as bytes. Without ops of the host
    there are no parts."""
    if not any(runs_on_host(n.op) for n in graph.nodes):
        return []
    groups: list[list[Node]] = []
    for node in graph.nodes:
        alone = runs_on_host(node.op) or not groups or runs_on_host(groups[-1][-1].op)
        groups.append([node]) if alone else groups[-1].append(node)
    parts = []
    for group in groups:
        made = [o for n in group for o in n.outputs if o]
        read = dict.fromkeys(i for n in group for i in n.inputs if i and i not in graph.constants and i not in made)
        elsewhere = {i for other in groups if other is not group for n in other for i in n.inputs} | set(graph.outputs)
        host = runs_on_host(group[0].op)
        definition = to_onnx(replace(graph, nodes=group)).graph.node[0].SerializeToString() if host else b""
        parts.append((list(read), [o for o in made if o in elsewhere], definition))
    return parts


def to_sections(model: QuantizedModel, layer_digests: Mapping[str, str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """(payload sections, coefficients by Location name) of a quantized model."""
    graph = model.graph
    locations = location_names(graph)
    proto = to_onnx(graph)
    coefficients: dict[str, bytes] = {}
    for tensor in proto.graph.initializer:
        location = locations[tensor.name]
        if not tensor.HasField("raw_data"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
        coefficients[location] = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    sections = {
        "GRPH": proto.SerializeToString(deterministic=True),
        "QPAR": _json({name: vars(q) for name, q in model.tensors.items()}),
        "ARCH": _json({"target": model.target, "precision": model.precision, "arithmetic": model.arithmetic}),
        "META": _json({"tool": f"bittrue {__version__}", **model.meta}),
        "REFS": _json(dict(layer_digests)),
    }
    return sections, coefficients


def from_sections(sections: Mapping[str, bytes], coefficients: Mapping[str, bytes]) -> QuantizedModel:
    """Inverse of `to_sections`. Raises DataError for a missing section, a broken graph or a missing coefficient."""
    for tag in ("GRPH", "ARCH"):
        if tag not in sections:
            raise DataError(f"payload has no section {tag}")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(sections["GRPH"])
        arch = json.loads(sections["ARCH"])
        records = json.loads(sections.get("QPAR", b"{}"))
        meta = json.loads(sections.get("META", b"{}"))
    except Exception as e:  # protobuf's DecodeError and json's ValueError have no common base
        raise DataError(f"payload is broken: {e}") from e
    for tensor in proto.graph.initializer:
        location = next((e.value for e in tensor.external_data if e.key == "location"), None)
        if location is None or location not in coefficients:
            raise DataError(f"constant '{tensor.name}': no coefficient location '{location}'")
        tensor.raw_data = coefficients[location]
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    try:
        graph = from_onnx(proto)
        tensors = {name: TensorQuant(**record) for name, record in records.items()}
        return QuantizedModel(graph, arch["target"], arch["precision"], arch["arithmetic"], tensors, meta)
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(f"payload is broken: {e}") from e


def digest(array: Array) -> str:
    """SHA-256 of a tensor's row-major bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
