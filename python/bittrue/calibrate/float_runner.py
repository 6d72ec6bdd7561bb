"""Float truth: onnxruntime on the float graph, without optimizations, one thread, so that runs repeat.

Host ops (`bittrue.graph.host_ops`) run by their numpy models; the nodes between them are one onnxruntime session each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import onnxruntime

from bittrue.errors import UnsupportedError
from bittrue.graph.host_ops import HOST_DOMAIN
from bittrue.graph.ir import Graph, Node
from bittrue.graph.onnx_io import expand_fused, to_onnx
from bittrue.graph.shaped import ShapedGraphs, shapes_of
from bittrue.ops import evaluate_node

Array = np.ndarray[Any, Any]
KEPT = 16  # shapes of a network that stay ready


class _OnnxPart:
    """Consecutive ONNX nodes of a graph. wanted: the results asked for."""

    def __init__(self, graph: Graph, nodes: Sequence[Node], wanted: Sequence[str]) -> None:
        made = {o for n in nodes for o in n.outputs if o}
        read = {i for n in nodes for i in n.inputs if i}
        self.outputs = [n for n in wanted if n in made]
        self._inputs = sorted(read - made - set(graph.constants))
        constants = {n: a for n, a in graph.constants.items() if n in read}
        part = replace(graph, nodes=list(nodes), inputs=self._inputs, outputs=self.outputs, constants=constants)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                to_onnx(part).SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as e:  # onnxruntime's errors have no public base
            raise UnsupportedError(f"onnxruntime cannot run the float graph: {e}") from e

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        results = self._session.run(self.outputs, {n: values[n] for n in self._inputs})
        return dict(zip(self.outputs, results, strict=True))


@dataclass(frozen=True)
class _HostPart:
    graph: Graph
    node: Node

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        constants = self.graph.constants
        inputs = [None if not i else constants[i] if i in constants else values[i] for i in self.node.inputs]
        results = evaluate_node(self.node, inputs, [self.graph.types[o] for o in self.node.outputs])
        return dict(zip(self.node.outputs, results, strict=True))


class FloatRunner:
    """Runs the float graph and returns the tensors asked for (default: the graph outputs)."""

    def __init__(self, graph: Graph, tensors: Sequence[str] | None = None) -> None:
        self.names = list(tensors if tensors is not None else graph.outputs)
        self._constants = {n: graph.constants[n] for n in self.names if n in graph.constants}
        nodes = [n for node in graph.nodes for n in expand_fused(node)]
        parts = [(host, list(part)) for host, part in groupby(nodes, lambda n: n.domain == HOST_DOMAIN)]
        # Of one part also what the parts after it read.
        later = {i for _, part in parts[1:] for n in part for i in n.inputs}
        wanted = list(dict.fromkeys([*self.names, *sorted(later)]))
        self._parts: list[_OnnxPart | _HostPart] = []
        for host, part in parts:
            if host:
                self._parts += [_HostPart(graph, n) for n in part]
            else:
                self._parts.append(_OnnxPart(graph, part, wanted))

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors by name, graph inputs and constants included where they were asked for."""
        values = self._constants | {n: np.asarray(a) for n, a in feeds.items()}
        for part in self._parts:
            values |= part.run(values)
        return {n: values[n] for n in self.names}


class ShapedRunner:
    """Runs a float network at the shapes that its inputs have, and returns the tensors asked for."""

    def __init__(self, graphs: ShapedGraphs, tensors: Sequence[str] | None = None) -> None:
        self._graphs = graphs
        self._runner = lru_cache(KEPT)(lambda shapes: FloatRunner(graphs.at(dict(shapes)), tensors))

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors by name. Raises DataError for shapes that the network does not take."""
        return self._runner(shapes_of(feeds)).run(feeds)
