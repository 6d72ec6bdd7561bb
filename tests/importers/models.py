"""Small ONNX models, and the comparison of an imported model with onnxruntime on the original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import to_onnx
from bittrue.importers import load_float_graph

RNG = np.random.default_rng(5)
X = (1, 4, 9, 10)


def model_of(
    nodes: list[onnx.NodeProto], constants: dict[str, Any], opset: int, shape: tuple[Any, ...] = X
) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = onnx.ValueInfoProto(name="y")
    y.type.tensor_type.elem_type = TensorProto.FLOAT
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def outputs(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feeds)


def imported(model: onnx.ModelProto, folder: Path, **options: Any) -> Graph:
    """Imports a model and asserts that onnxruntime gives the same outputs for both."""
    onnx.save(model, folder / "model.onnx")
    graph = load_float_graph(folder / "model.onnx", **options)
    feeds = {n: RNG.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    for want, got in zip(outputs(model, feeds), outputs(to_onnx(graph), feeds), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
    return graph
