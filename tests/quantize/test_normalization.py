"""LRN and L2Normalize: recognised, run in float, close to onnxruntime, and written out as ONNX again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from tests.importers.models import imported, model_of

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import to_onnx

node = helper.make_node
X = np.random.default_rng(3).normal(0, 3, (2, 6, 4, 5)).astype(np.float32)
X[0, :, 1, 2] = 0  # a pixel without direction


def lrn(tmp_path: Path) -> Graph:
    nodes = [node("LRN", ["x"], ["y"], "lrn", size=5, alpha=0.3, beta=0.75, bias=2.0)]
    return imported(model_of(nodes, {}, 17, X.shape), tmp_path)


def l2(tmp_path: Path, keepdims: int = 1) -> Graph:
    nodes = [
        node("Mul", ["x", "x"], ["s"], "square"),
        node("ReduceSum", ["s", "axes"], ["t"], "sum", keepdims=keepdims),
        node("Add", ["t", "eps"], ["u"], "shift"),
        node("Sqrt", ["u"], ["r"], "root"),
        node("Div", ["x", "r"], ["y"], "unit"),
    ]
    constants = {"axes": np.asarray([1 if keepdims else 0]), "eps": np.asarray(1e-10, np.float32)}
    return imported(model_of(nodes, constants, 17, X.shape), tmp_path)


@pytest.mark.parametrize("target", ["bm1684", "bm1684x"])
@pytest.mark.parametrize(("make", "op"), [(lrn, "LRN"), (l2, "L2Normalize")])
def test_runs_in_float(make, op: str, target: str, tmp_path: Path) -> None:
    graph = make(tmp_path)
    assert [n.op for n in graph.nodes] == [op]
    truth = FloatRunner(graph).run({"x": X})["y"]
    table = api.calibrate(graph, [Record("r", {"x": X})], method="max")
    model = api.quantize(graph, table.tensors, target)
    got = api.Session(model.graph).run({"x": X}).outputs["y"]
    np.testing.assert_allclose(got, truth, rtol=2e-5, atol=2e-5)
    assert {n.attrs["evidence"] for n in model.graph.nodes} == {"assumed"}


def test_only_the_whole_pattern_is_recognised(tmp_path: Path) -> None:
    assert "L2Normalize" not in {n.op for n in l2(tmp_path, keepdims=0).nodes}


def test_written_as_onnx(tmp_path: Path) -> None:
    model = to_onnx(l2(tmp_path))
    assert [n.op_type for n in model.graph.node] == ["Mul", "ReduceSum", "Add", "Sqrt", "Div"]
