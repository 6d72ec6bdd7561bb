"""One layer quantized, everything around it exact: the layer runs on the core, the rest in onnxruntime.

The float values before the layer are known from the float run, so only the layer and what depends on it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.quantize.model import QuantizedModel
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]


def upstream(graph: Graph, outputs: list[str], available: set[str]) -> Graph:
    """The part of a graph that computes `outputs` from tensors in `available`."""
    needed, nodes = set(outputs), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs) and not available.intersection(node.outputs):
            nodes.append(node)
            needed.update(i for i in node.inputs if i)
    inputs = [n for n in graph.activations() if n in needed and n in available]
    constants = {n: a for n, a in graph.constants.items() if n in needed}
    kept = {*needed, *(o for n in nodes for o in n.outputs)}
    types = {n: t for n, t in graph.types.items() if n in kept}
    return Graph(graph.name, nodes[::-1], inputs, outputs, constants, types)


def downstream(graph: Graph, tensor: str) -> Graph | None:
    """The part of a float graph that depends on `tensor`; None if that is nothing but the tensor itself.

    Its inputs are `tensor` and every tensor that its nodes read from elsewhere.
    """
    affected, nodes, read = {tensor}, [], {tensor}
    for node in graph.nodes:
        if affected.intersection(node.inputs):
            nodes.append(node)
            affected.update(node.outputs)
            for part in (node, *node.fused, *node.absorbed):
                read.update(i for i in part.inputs if i)
    if not nodes:
        return None
    made = {o for n in nodes for o in n.outputs}
    inputs = [n for n in graph.activations() if n in read and n not in made]
    outputs = [o for o in graph.outputs if o in made]
    constants = {n: a for n, a in graph.constants.items() if n in read}
    return Graph(graph.name, nodes, inputs, outputs, constants, graph.types, graph.opset)


class IsolatedLayer:
    """model: the network with only `layer` quantized, on any target."""

    def __init__(self, graph: Graph, model: QuantizedModel, layer: str, *, threads: int | None = None) -> None:
        self._outputs = list(graph.outputs)
        self._tensor = next(n for n in graph.nodes if n.name == layer).outputs[0]
        main = next((n for n in model.graph.nodes if n.name == layer and n.outputs[0] in model.tensors), None)
        if main is None:
            raise UnsupportedError(f"layer '{layer}' does not run in integers on {model.target}")
        self._quantized = main.outputs[0]
        self._quant = model.tensors[self._quantized]
        available = {n for n in graph.activations() if n != self._tensor}
        self._session = Session(upstream(model.graph, [self._quantized], available), threads=threads)
        self._rest = downstream(graph, self._tensor)
        self._runner = FloatRunner(self._rest) if self._rest and self._rest.outputs else None

    def run(self, floats: Mapping[str, Array]) -> dict[str, Array]:
        """Network outputs. floats: every tensor of the float run of the same sample."""
        feeds = {n: floats[n] for n in self._session.graph.inputs}
        codes = self._session.run(feeds).outputs[self._quantized]
        value = (codes.astype(np.float32) - self._quant.zero_point) * np.float32(self._quant.scale)
        values = {**floats, self._tensor: value}
        if self._runner and self._rest:
            values |= self._runner.run({n: values[n] for n in self._rest.inputs})
        return {o: values[o] for o in self._outputs}
