"""Every float op on every target: lowered, run by both implementations with the same bits, close to onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from bittrue.calibrate import calibrate
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.calibrate.table import Threshold
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import from_onnx, to_onnx
from bittrue.graph.passes import run_passes
from bittrue.ops import OPS, evaluate_graph
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize
from bittrue.runtime.session import Session

RNG = np.random.default_rng(3)
X = (2, 8, 10, 12)
C = RNG.normal(0, 0.3, (8, 8, 3, 3))
VARIANTS = [("bm1684", "int8"), ("bm1684x", "int8"), ("bm1684", "fp32")]

# name: (op, attributes, constant inputs after x, input shape)
ONE_INPUT: dict[str, tuple[str, dict[str, Any], list[Any], tuple[int, ...]]] = {
    "conv": ("Conv", {"pads": [1, 1, 1, 1]}, [C, RNG.normal(0, 1, 8)], X),
    "conv_strided": ("Conv", {"strides": [2, 2], "dilations": [2, 1], "auto_pad": "VALID"}, [C], X),
    "depthwise": ("Conv", {"group": 8, "pads": [1, 0, 0, 1]}, [C[:, :1]], X),
    "conv_1d": ("Conv", {"pads": [1, 1]}, [C[..., 0]], (1, 8, 20)),
    "deconv": ("ConvTranspose", {"strides": [2, 2], "output_padding": [1, 1]}, [C], X),
    "gemm": ("Gemm", {"transB": 1}, [RNG.normal(0, 0.3, (5, 16)), RNG.normal(0, 1, 5)], (4, 16)),
    "matmul": ("MatMul", {}, [RNG.normal(0, 0.3, (12, 5))], X),
    "add_channel": ("Add", {}, [RNG.normal(0, 1, (8, 1, 1))], X),
    "mul_channel": ("Mul", {}, [RNG.normal(0, 1, (8, 1, 1))], X),
    "sub_scalar": ("Sub", {}, [np.array(0.7)], X),
    "max_pool": ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}, [], X),
    "max_pool_ceil": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [], X),
    "average_pool": ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2]}, [], X),
    "average_pool_ceil": ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [], X),
    "average_pool_counted": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        [],
        X,
    ),
    "average_pool_pad": ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, [], X),
    "global_average_pool": ("GlobalAveragePool", {}, [], X),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.1}, [], X),
    "prelu": ("PRelu", {}, [RNG.uniform(-0.3, 0.5, (8, 1, 1))], X),
    "relu": ("Relu", {}, [], X),
    "relu6": ("Clip", {}, [np.array(0.0), np.array(6.0)], X),
    "softmax": ("Softmax", {"axis": 1}, [], X),
    "log_softmax": ("LogSoftmax", {"axis": 1}, [], (2, 8)),
    "reduce_mean": ("ReduceMean", {"axes": [2, 3]}, [], X),
    "layer_norm": ("LayerNormalization", {}, [RNG.normal(1, 0.1, 12), RNG.normal(0, 0.1, 12)], X),
    "instance_norm": ("InstanceNormalization", {}, [RNG.normal(1, 0.1, 8), RNG.normal(0, 0.1, 8)], X),
    "transpose": ("Transpose", {"perm": [0, 2, 3, 1]}, [], X),
    "flatten": ("Flatten", {}, [], X),
    "slice": ("Slice", {}, [np.array([9, 1]), np.array([-11, 8]), np.array([2, 3]), np.array([-2, 3])], X),
    "pad": ("Pad", {}, [np.array([0, 0, 1, 2, 0, 0, 3, 0]), np.array(0.5)], X),
    "gather": ("Gather", {"axis": 1}, [np.array([3, 0, 7])], X),
    "resize_nearest": ("Resize", {}, ["", np.array([1, 1, 2, 2])], X),
    "resize_linear": ("Resize", {"mode": "linear"}, ["", np.array([1, 1, 2, 2])], X),
    "depth_to_space": ("DepthToSpace", {"blocksize": 2}, [], X),
    "space_to_depth": ("SpaceToDepth", {"blocksize": 2}, [], X),
    "tile": ("Tile", {}, [np.array([1, 2, 1, 1])], X),
    "div": ("Div", {}, [RNG.uniform(1, 2, (8, 1, 1))], X),
    **{
        op.lower(): (op, {}, [], X)
        for op in ("Sigmoid", "Tanh", "Exp", "Elu", "HardSigmoid", "HardSwish", "Softplus", "Softsign", "Abs", "Erf")
    },
}
TWO_INPUTS = {"Add": {}, "Mul": {}, "Sub": {}, "Max": {}, "Min": {}, "Concat": {"axis": 1}, "Sum": {}}
# Log-softmax in the rules of this device is not known.
UNSUPPORTED = {("log_softmax", "bm1684")}


def build(op: str, attrs: dict[str, Any], constants: list[Any], shape: tuple[int, ...], inputs: int = 1) -> Graph:
    names, initializers = [f"x{i}" for i in range(inputs)], []
    for i, value in enumerate(constants):
        if isinstance(value, str):
            names.append("")
            continue
        integer = np.asarray(value).dtype.kind == "i" and op != "Resize"
        initializers.append(numpy_helper.from_array(np.asarray(value, np.int64 if integer else np.float32), f"c{i}"))
        names.append(f"c{i}")
    values = [helper.make_tensor_value_info(f"x{i}", 1, shape) for i in range(inputs)]
    node = helper.make_node(op, names, ["y"], "node", **attrs)
    y = onnx.ValueInfoProto(name="y")
    y.type.tensor_type.elem_type = 1
    model = helper.make_model(
        helper.make_graph([node], "g", values, [y], initializers), opset_imports=[helper.make_opsetid("", 17)]
    )
    graph = from_onnx(model)
    run_passes(graph)
    return graph


def check(graph: Graph, target: str, precision: str, least_cosine: float) -> QuantizedModel:
    feeds = {n: RNG.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    table = calibrate(graph, [Record("r", feeds)], method="max")
    model = quantize(graph, table.tensors, target, precision=precision)
    for node in model.graph.nodes:
        assert set(node.attrs) <= set(OPS[node.op].attributes)
    want = evaluate_graph(model.graph, feeds)
    for path in ("reference", None):
        got = Session(model.graph, path=path).run(feeds, trace=True).trace
        for name, value in got.items():
            np.testing.assert_array_equal(value, want[name], err_msg=name)
    truth = FloatRunner(graph).run(feeds)
    for name in graph.outputs:
        a, b = truth[name].astype(np.float64).ravel(), want[name].astype(np.float64).ravel()
        assert a @ b / np.sqrt((a @ a) * (b @ b)) > least_cosine
    again = QuantizedModel.from_onnx(model.to_onnx())
    assert evaluate_graph(again.graph, feeds).keys() == want.keys() and again.tensors == model.tensors
    return model


@pytest.mark.parametrize(("target", "precision"), VARIANTS)
@pytest.mark.parametrize("name", ONE_INPUT)
def test_one_input(name: str, target: str, precision: str) -> None:
    op, attrs, constants, shape = ONE_INPUT[name]
    graph = build(op, attrs, constants, shape)
    if (name, target) in UNSUPPORTED:
        with pytest.raises(UnsupportedError, match="bm1684"):
            check(graph, target, precision, 0)
        return
    check(graph, target, precision, 0.99 if precision == "int8" else 0.99999)


@pytest.mark.parametrize(("target", "precision"), VARIANTS)
@pytest.mark.parametrize("op", TWO_INPUTS)
def test_two_inputs(op: str, target: str, precision: str) -> None:
    graph = build(op, TWO_INPUTS[op], [], X, inputs=2)
    check(graph, target, precision, 0.99 if precision == "int8" else 0.99999)


@pytest.mark.parametrize(("target", "precision"), VARIANTS)
def test_three_summands(target: str, precision: str) -> None:
    check(build("Sum", {}, [], X, inputs=3), target, precision, 0.99)


def test_integer_ops_run_in_integers() -> None:
    for name in ("conv", "gemm", "add_channel", "max_pool", "average_pool", "sigmoid", "leaky_relu", "transpose"):
        op, attrs, constants, shape = ONE_INPUT[name]
        model = check(build(op, attrs, constants, shape), "bm1684", "int8", 0.99)
        assert not [n.op for n in model.graph.nodes if n.op.startswith("Float")], name


def test_no_label_says_more_than_the_profile() -> None:
    for name, (op, attrs, constants, shape) in ONE_INPUT.items():
        graph = build(op, attrs, constants, shape)
        thresholds = {n: Threshold(4, -4, 4) for n in graph.activations()}
        for node in quantize(graph, thresholds, "bm1684x").graph.nodes:
            assert node.attrs["evidence"] != "measured", f"{name}: {node.op}"


@pytest.mark.parametrize(("target", "precision"), VARIANTS)
def test_casts_indices_and_selection(target: str, precision: str) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[2,8,6,6] x) => (float[2,6,6] z) {
          i = ArgMax <axis: int = 1, keepdims: int = 0> (x)
          z = Cast <to: int = 1> (i)
        }"""
    )
    graph = from_onnx(model)
    run_passes(graph)
    # Quantization may turn near-ties over, so only float is compared closely.
    check(graph, target, precision, 0.99999 if precision == "fp32" else 0.9)


def test_only_nodes_that_cannot_run_are_blamed() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,8,6,6] x) => (float[1,8,6,6] z) { a = LpNormalization (x)  b = Relu(a)  z = Sigmoid(b) }"""
    )
    graph = from_onnx(model)
    run_passes(graph)
    with pytest.raises(UnsupportedError, match=r"1 node\(s\)"):
        quantize(graph, None, "bm1684", precision="fp32")


def test_errors() -> None:
    graph = build("Conv", {}, [C], X)
    with pytest.raises(DataError, match=r"no threshold for 2 tensor\(s\): x0, y"):
        quantize(graph, {}, "bm1684")
    rows = {"x0": Threshold(1, -1, 1), "y": Threshold(1, -1, 1)}
    with pytest.raises(UsageError, match="no precision 'int3'"):
        quantize(graph, rows, "bm1684", precision="int3")
    name, weight = next(iter(graph.constants.items()))
    graph.constants[name] = np.where(weight == weight.max(), np.nan, weight).astype(np.float32)
    with pytest.raises(DataError, match="NaN"):
        quantize(graph, rows, "bm1684")


def test_fused_activations_are_written_out_again() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,8,6,6] x) => (float[1,8,6,6] z) {
          zero = Constant<value = float {0.0}>()
          six = Constant<value = float {6.0}>()
          a = Add(x, x)
          b = Clip(a, zero, six)
          s = Sigmoid(b)
          z = Mul(b, s)
        }"""
    )
    graph = from_onnx(model)
    run_passes(graph)
    assert [n.op for n in graph.nodes] == ["Add", "Activation"] and len(graph.nodes[0].fused) == 1
    assert [n.op_type for n in to_onnx(graph).graph.node] == ["Add", "Clip", "Sigmoid", "Mul"]
    for target, precision in VARIANTS:
        check(graph, target, precision, 0.99)
