"""ConvInteger, MatMulInteger, QLinearConv and QLinearMatMul of the ONNX backend tests, as Conv2d and MatMul nodes."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest

from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.ops import evaluate_graph
from bittrue.runtime.session import Session

EXPECTED = [
    "test_convinteger_without_padding",
    "test_convinteger_with_padding",
    "test_matmulinteger",
    "test_qlinearconv",
    *[
        f"test_qlinearmatmul_{d}_{t}_{f}"
        for d in ("2D", "3D")
        for t in ("uint8", "int8")
        for f in ("float32", "float16")
    ],
]


@cache
def cases() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return {c.name: c for c in collect_testcases(None) if c.name in EXPECTED}


def number(value: Any) -> int:
    return int(np.asarray(value).ravel()[0])


@pytest.mark.parametrize("name", EXPECTED)
def test_backend_node(name: str) -> None:
    if name not in cases():
        pytest.skip(f"this onnx has no {name}")
    case = cases()[name]
    (node,) = case.model.graph.node
    arrays = dict(zip(node.input, case.data_sets[0][0], strict=False))
    given = [np.asarray(arrays[i]) for i in node.input]
    want = np.asarray(case.data_sets[0][1][0])
    attrs: dict[str, Any] = {a.name: list(a.ints) for a in node.attribute if a.name == "pads"}
    conv = node.op_type.endswith(("ConvInteger", "LinearConv"))
    keys = ("x_zero_point", "w_zero_point") if conv else ("a_zero_point", "b_zero_point")
    if node.op_type.startswith("QLinear"):
        a, b = given[0], given[3]
        zero = [given[2], given[5]]
        scale = given[1].astype(np.float32) * given[4].astype(np.float32) / given[6].astype(np.float32)
        attrs |= {"requant": "float_scale", "scale": [float(v) for v in scale.ravel()], "rounding": "half_even"}
        attrs["zero_point"] = number(given[7])
    else:
        a, b = given[0], given[1]
        zero = [given[2], given[3] if len(given) > 3 else np.zeros(1)]
    attrs[keys[0]], attrs[keys[1]] = number(zero[0]), [int(v) for v in np.asarray(zero[1]).ravel()]
    graph = Graph(name, inputs=["a"], outputs=["y"], types={"y": TensorType(want.dtype.name, want.shape)})
    graph.types["a"] = TensorType(a.dtype.name, a.shape)
    graph.add_constant("b", b)
    graph.nodes = [Node("Conv2d" if conv else "MatMul", "node", ["a", "b"], ["y"], attrs, "bittrue")]
    np.testing.assert_array_equal(evaluate_graph(graph, {"a": a})["y"], want)
    for path in ("reference", None):
        np.testing.assert_array_equal(Session(graph, path=path).run({"a": a}).outputs["y"], want)
