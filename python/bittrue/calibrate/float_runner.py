"""Float truth: onnxruntime on the float graph, without optimizations, one thread, so that runs repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import to_onnx

Array = np.ndarray[Any, Any]


class FloatRunner:
    """Runs the float graph and returns the tensors asked for (default: the graph outputs)."""

    def __init__(self, graph: Graph, tensors: Sequence[str] | None = None) -> None:
        self.names = list(tensors if tensors is not None else graph.outputs)
        self._direct = [n for n in self.names if n in graph.inputs]
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        model = to_onnx(graph, [n for n in self.names if n not in graph.inputs])
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as e:  # onnxruntime's errors have no public base
            raise UnsupportedError(f"onnxruntime cannot run the float graph: {e}") from e

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors by name, graph inputs included where they were asked for."""
        wanted = [n for n in self.names if n not in self._direct]
        results = self._session.run(wanted, dict(feeds))
        values = dict(zip(wanted, results, strict=True)) | {n: np.asarray(feeds[n]) for n in self._direct}
        return {n: values[n] for n in self.names}
