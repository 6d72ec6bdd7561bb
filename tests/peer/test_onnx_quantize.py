"""QuantizeLinear and DequantizeLinear of the ONNX backend node tests, as Quantize and Dequantize nodes.

Not covered, as the quantized graph has no such types: float8, float4, 2-bit, blocked scales, and 4-bit results.
"""

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.ops.float_node import run_node

STORED = {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32}
READ = STORED | {TensorProto.INT4, TensorProto.UINT4}
EXPECTED = [
    "test_dequantizelinear",
    "test_dequantizelinear_axis",
    "test_dequantizelinear_int16",
    "test_dequantizelinear_int4",
    "test_dequantizelinear_uint16",
    "test_dequantizelinear_uint4",
    "test_quantizelinear",
    "test_quantizelinear_axis",
    "test_quantizelinear_int16",
    "test_quantizelinear_uint16",
]


@cache
def cases() -> dict[str, Any]:
    """The backend tests that the quantized graph can express, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    chosen = {}
    for case in found:
        graph = case.model.graph
        if len(graph.node) != 1 or graph.node[0].op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        quantizes = graph.node[0].op_type == "QuantizeLinear"
        integer = (graph.output if quantizes else graph.input)[0].type.tensor_type.elem_type
        real = (graph.input if quantizes else graph.output)[0].type.tensor_type.elem_type
        blocked = any(a.name == "block_size" and a.i for a in graph.node[0].attribute)
        if integer in (STORED if quantizes else READ) and real == TensorProto.FLOAT and not blocked:
            chosen[case.name] = case
    return chosen


def array(value: Any) -> np.ndarray[Any, Any]:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


@pytest.mark.parametrize("name", EXPECTED)
def test_backend_node(name: str) -> None:
    if name not in cases():
        pytest.skip("not part of this version of onnx")
    case = cases()[name]
    node = case.model.graph.node[0]
    for inputs, outputs in case.data_sets:
        x, scale, *rest = (array(v) for v in inputs)
        y = array(outputs[0])
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        attrs: dict[str, Any] = {"scale": [float(s) for s in scale.reshape(-1)], "axis": given.get("axis", 1)}
        if rest:
            attrs["zero_point"] = [int(z) for z in rest[0].reshape(-1)]
        if node.op_type == "QuantizeLinear":
            attrs["scale_op"] = "divide"
            got = run_node("Quantize", [x], [(y.dtype.name, y.shape)], attrs)[0]
        else:
            got = run_node("Dequantize", [x], [("float32", y.shape)], attrs)[0]
        np.testing.assert_array_equal(got, y)


def test_no_expressible_backend_node_is_left_out() -> None:
    assert set(cases()) <= set(EXPECTED)
