"""Ops of older and newer opsets: the imported graph gives the floats that onnxruntime gives for the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import OPSET
from tests.importers.models import X, imported, model_of

node = helper.make_node
Case = tuple[list[NodeProto], dict[str, Any], int]


def of(op: str, opset: int, constants: dict[str, Any] | None = None, parts: int = 1, **attrs: Any) -> Case:
    """One node that reads `x` and constants; several outputs are joined again by their sums."""
    constants = constants or {}
    names = [k if constants[k] is not None else "" for k in constants]
    outputs = ["y"] if parts == 1 else [f"part_{i}" for i in range(parts)]
    nodes = [node(op, ["x", *names], outputs, "node", **attrs)]
    if parts > 1:
        nodes.append(node("Concat", outputs[::-1], ["y"], "join", axis=attrs.get("axis", 0)))
    return nodes, {k: v for k, v in constants.items() if v is not None}, opset


def f32(*values: float) -> np.ndarray:
    return np.float32(values)


STATISTICS = {k: np.random.default_rng(1).uniform(0.5, 2, 4).astype(np.float32) for k in ("g", "b", "m", "v")}
OLDER: dict[str, Case] = {
    "clip": of("Clip", 7, min=-0.5, max=0.25),
    "clip, one bound": of("Clip", 10, max=0.25),
    "pad": of("Pad", 7, pads=[0, 0, 1, 2, 0, 1, 0, 3], value=1.5),
    "pad, reflect": of("Pad", 10, pads=[0, 0, 1, 2, 0, 0, 0, 3], mode="reflect"),
    "slice": of("Slice", 7, starts=[1, -4], ends=[100, -1], axes=[1, 3]),
    "slice of all axes": of("Slice", 9, starts=[0, 1, 2, 3], ends=[1, 3, 9, 9]),
    "split": of("Split", 7, parts=2, axis=1, split=[1, 3]),
    "split evenly": of("Split", 11, parts=3, axis=2),
    "squeeze": of("Squeeze", 7, axes=[0]),
    "squeeze all": of("Squeeze", 11),
    "unsqueeze": of("Unsqueeze", 11, axes=[0, 3]),
    "reduce sum": of("ReduceSum", 11, axes=[1, -1], keepdims=0),
    "reduce sum of all": of("ReduceSum", 7),
    "dropout": of("Dropout", 7, ratio=0.25),
    "batch normalization": of("BatchNormalization", 7, STATISTICS, epsilon=1e-3, momentum=0.8),
    "batch normalization 9": of("BatchNormalization", 9, STATISTICS),
    "softmax over several axes": of("Softmax", 7),
    "softmax over the last axis": of("Softmax", 11, axis=3),
    "log softmax": of("LogSoftmax", 11, axis=2),
    "upsample by an attribute": of("Upsample", 7, scales=[1.0, 1.0, 2.0, 3.0]),
    "upsample linearly": of("Upsample", 9, {"s": f32(1, 1, 2, 2)}, mode="linear"),
    "resize": of("Resize", 10, {"s": f32(1, 1, 2, 0.5)}),
    "resize linearly": of("Resize", 10, {"s": f32(1, 1, 2, 2)}, mode="linear"),
    "top k": ([node("TopK", ["x"], ["y", "i"], "node", k=3)], {}, 7),
    "prelu": of("PRelu", 7, {"s": np.float32([[[0.1]], [[0.2]], [[0.3]], [[0.4]]])}),
    "average pool": of("AveragePool", 7, kernel_shape=[3, 2], pads=[1, 0, 1, 1]),
}
AXES = {"a": np.int64([-1, 2])}
HALVES = {"a": None, "s": f32(2, 0.5)}
NEWER: dict[str, Case] = {
    "split in parts": of("Split", 18, parts=2, axis=1, num_outputs=2),
    "split with a smaller part": of("Split", 18, parts=4, axis=-1, num_outputs=4),
    "split by sizes": of("Split", 22, {"s": np.int64([1, 3])}, parts=2, axis=1),
    "gelu": of("Gelu", 20),
    "gelu by tanh": of("Gelu", 20, approximate="tanh"),
    "mish": of("Mish", 18),
    "mish 22": of("Mish", 22),
    "swish": of("Swish", 24),
    "swish with a factor": of("Swish", 24, alpha=0.5),
    "hard swish 22": of("HardSwish", 22),
    "squeeze": of("Squeeze", 21, {"a": np.int64([0])}),
    "unsqueeze": of("Unsqueeze", 23, {"a": np.int64([1])}),
    "reduce sum": of("ReduceSum", 18, AXES),
    "reduce nothing": of("ReduceMean", 18, noop_with_empty_axes=1),
    "reduce all": of("ReduceMean", 18, keepdims=0),
    "pad": of("Pad", 18, {"p": np.int64([1, 2, 3, 0]), "v": np.float32(2), "a": np.int64([2, -1])}),
    "pad with zeros": of("Pad", 19, {"p": np.int64([1, 3]), "v": None, "a": np.int64([3])}, mode="edge"),
    "pad, wrapped": of("Pad", 19, {"p": np.int64([0, 0, 2, 1, 0, 0, 0, 3])}, mode="wrap"),
    "pad, wrapped axes": of("Pad", 21, {"p": np.int64([2, 1]), "v": None, "a": np.int64([1])}, mode="wrap"),
    "resize some axes": of("Resize", 18, HALVES | {"n": None}, axes=[2, 3], mode="linear"),
    "resize to sizes": of("Resize", 19, {"r": None, "s": None, "z": np.int64([18, 30])}, axes=[-2, -1]),
    "resize, not larger": of(
        "Resize", 19, {"r": None, "s": None, "z": np.int64([18, 30])}, axes=[2, 3], mode="linear",
        keep_aspect_ratio_policy="not_larger",
    ),
    "resize, not smaller": of(
        "Resize", 18, {"r": None, "s": None, "z": np.int64([27, 20])}, axes=[2, 3],
        keep_aspect_ratio_policy="not_smaller",
    ),
    "resize, symmetric": of(
        "Resize", 19, {"r": None, "s": f32(1, 1, 2, 2)}, coordinate_transformation_mode="half_pixel_symmetric",
        mode="linear",
    ),
    "resize, antialias without effect": of("Resize", 18, {"r": None, "s": f32(1, 1, 2, 2)}, mode="linear", antialias=1),
    "average pool 22": of("AveragePool", 22, kernel_shape=[2, 2], dilations=[1, 1], strides=[2, 2]),
    "group normalization": of("GroupNormalization", 21, {"s": STATISTICS["g"], "b": STATISTICS["b"]}, num_groups=2),
    "group normalization 18": of(
        "GroupNormalization", 18, {"s": f32(0.5, 2), "b": f32(1, -1)}, num_groups=2, epsilon=1e-3
    ),
    "rms normalization": of("RMSNormalization", 23, {"s": np.linspace(0.5, 2, 10, dtype=np.float32)}),
    "rms normalization of two axes": of("RMSNormalization", 23, {"s": np.ones((9, 10), np.float32)}, axis=2),
    "cast": of("Cast", 19, to=TensorProto.FLOAT, saturate=1),
    "grid sample": of(
        "GridSample", 20, {"g": np.random.default_rng(1).uniform(-1, 1, (1, 5, 6, 2)).astype(np.float32)}, mode="linear"
    ),
    **{
        f"{op} of axes": of(op, 18, AXES, keepdims=1)
        for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OLDER)
def test_older(name: str, tmp_path: Path) -> None:
    graph = imported(model_of(*OLDER[name]), tmp_path)
    assert graph.opset == OPSET and graph.nodes[-1].outputs[0] == "y"


@pytest.mark.parametrize("name", NEWER)
def test_newer(name: str, tmp_path: Path) -> None:
    graph = imported(model_of(*NEWER[name]), tmp_path)
    assert graph.opset == OPSET and graph.nodes[-1].outputs[0] == "y"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (of("Resize", 18, {"r": None, "s": f32(1, 1, 0.5, 0.5)}, mode="linear", antialias=1), "antialias while"),
        (of("Resize", 19, {"r": None, "s": f32(1, 1, 1.3, 1)}, coordinate_transformation_mode="half_pixel_symmetric"),
         "half_pixel_symmetric"),
        (of("AveragePool", 19, kernel_shape=[2, 2], dilations=[2, 2]), "attribute 'dilations' of opset 19"),
        (of("BatchNormalization", 7, STATISTICS, spatial=0), r"spatial = 0"),
        (of("Magic", 18), "not an op of opset 18"),
        (of("Gelu", 18), "not an op of opset 18"),
        (of("Relu", 10000), "opset 10000 is newer"),
        (of("Relu", 6), "opset 6 is older"),
    ],
)  # fmt: skip
def test_what_has_no_rule_is_one_line(case: Case, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=message) as caught:
        imported(model_of(*case), tmp_path)
    assert "\n" not in str(caught.value) and "model.onnx" in str(caught.value)
    if "opset 1" not in message and "opset 6" not in message:
        assert "node 'node'" in str(caught.value)


def test_all_nodes_without_a_rule_are_listed(tmp_path: Path) -> None:
    nodes = [
        node("AveragePool", ["x"], ["p"], "first", kernel_shape=[2, 2], dilations=[2, 2]),
        node("AveragePool", ["p"], ["y"], "second", kernel_shape=[2, 2], dilations=[2, 2]),
    ]
    with pytest.raises(UnsupportedError, match=r"'first'.*'second'"):
        imported(model_of(nodes, {}, 19), tmp_path)


def test_shape_arithmetic_is_computed_before_the_rules(tmp_path: Path) -> None:
    """Sizes of a Resize, and axes of a reduction, that are computed from the shape of the input."""
    nodes = [
        node("Shape", ["x"], ["shape"], "shape", start=2),
        node("Mul", ["shape", "two"], ["sizes"], "double"),
        node("Resize", ["x", "", "", "sizes"], ["r"], "resize", axes=[2, 3], mode="linear"),
        node("Neg", ["two"], ["last"], "last"),
        node("Unsqueeze", ["last", "zero"], ["axes"], "axes"),
        node("ReduceMean", ["r", "axes"], ["y"], "mean"),
    ]
    graph = imported(model_of(nodes, {"two": np.int64(2), "zero": np.int64([0])}, 18), tmp_path)
    assert [n.op for n in graph.nodes] == ["Resize", "ReduceMean"]
    assert graph.types["y"].shape == (X[0], X[1], 1, 2 * X[3])
