"""Layer names for the tensors of a compiled command stream, from the model that it was compiled from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.containers.build import IoTensor
from bittrue.devices.bm1684.match import Match, TensorCollector, match_tensors
from bittrue.errors import DataError
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import DOMAIN, from_onnx
from bittrue.importers import load_float_graph
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]


def layer_values(model: Path, inputs: Mapping[str, Array], ios: Sequence[IoTensor]) -> dict[str, Array]:
    """Every layer output of a float or quantized model for the inputs of a compiled network.

    Inputs are taken by name, or by position where the names differ; quantized inputs of the network become floats for a
    float model. Raises DataError for inputs that do not fit, and what importing raises.
    """
    quantized = _quantized(model)
    graph = quantized or load_float_graph(model)
    feeds: dict[str, Array] = {}
    if len(graph.inputs) != len(ios):
        raise DataError(f"{model}: {len(graph.inputs)} inputs, the compiled network has {len(ios)}")
    known = {io.name: io for io in ios}
    for name, other in zip(graph.inputs, ios, strict=True):
        io = known.get(name, other)
        feeds[name] = _fitting(model, graph, name, inputs[io.name], io)
    layers = [n for n in graph.activations() if n not in graph.inputs]
    if quantized:
        return Session(graph).run(feeds, trace=layers).trace
    return FloatRunner(graph, layers).run(feeds)


def _quantized(model: Path) -> Graph | None:
    """The graph of a quantized .onnx; None for float models."""
    if model.suffix.lower() != ".onnx":
        return None
    try:
        proto = onnx.load(str(model))
    except Exception as e:  # protobuf and onnx raise unrelated types
        raise DataError(f"{model}: not an ONNX model ({type(e).__name__})") from e
    return from_onnx(proto) if any(o.domain == DOMAIN for o in proto.opset_import) else None


def _fitting(model: Path, graph: Graph, name: str, value: Array, io: IoTensor) -> Array:
    wanted = graph.types[name]
    if value.size != int(np.prod(wanted.shape)):
        raise DataError(f"{model}: input '{name}' has shape {list(wanted.shape)}, the data {list(value.shape)}")
    if wanted.dtype == "float32" and value.dtype != np.float32:
        value = (value.astype(np.float32) - np.float32(io.zero_point)) * np.float32(io.scale)
    return np.ascontiguousarray(value.reshape(wanted.shape), wanted.dtype)


def describe(matches: Sequence[Match]) -> list[dict[str, Any]]:
    """The matches as entries of a stored result."""
    return [
        {
            "layer": m.layer,
            "address": f"{m.tensor.address:#x}",
            "shape": list(m.tensor.shape),
            "kind": m.kind,
            "commands": [str(c) for c in m.tensor.commands],
            "correlation": m.correlation,
            "runner_up": m.runner_up,
            "confidence": m.confidence,
        }
        for m in matches
    ]


__all__ = ["TensorCollector", "describe", "layer_values", "match_tensors"]
