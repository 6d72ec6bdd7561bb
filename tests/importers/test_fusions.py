"""Fusions of one-dimensional windows, transposed convolutions with a given size, and merged reshapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto, helper

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.importers import load_float_graph
from bittrue.quantize.ranges import import_ranges
from tests.importers.models import RNG, imported, model_of

node = helper.make_node
SIGNAL = (1, 4, 20)


def block(i: int, x: str, y: str, channels: int) -> tuple[list[NodeProto], dict[str, Any]]:
    """Conv, BatchNormalization and Relu over a signal."""
    constants: dict[str, Any] = {f"w{i}": RNG.normal(0, 0.5, (6, channels, 3)).astype(np.float32)}
    constants |= {f"{k}{i}": RNG.uniform(0.5, 2, 6).astype(np.float32) for k in ("g", "b", "m", "v")}
    nodes = [
        node("Conv", [x, f"w{i}"], [f"c{i}"], f"conv{i}", pads=[1, 1]),
        node("BatchNormalization", [f"c{i}", *(f"{k}{i}" for k in ("g", "b", "m", "v"))], [f"n{i}"], f"bn{i}"),
        node("Relu", [f"n{i}"], [y], f"relu{i}"),
    ]
    return nodes, constants


def test_one_dimensional_blocks_fuse(tmp_path: Path) -> None:
    first, one = block(1, "x", "r1", 4)
    second, two = block(2, "r1", "r2", 6)
    pool = [node("MaxPool", ["r2"], ["y"], "pool", kernel_shape=[2], strides=[2])]
    graph = imported(model_of([*first, *second, *pool], one | two, 13, SIGNAL), tmp_path)
    assert [n.op for n in graph.nodes] == ["Reshape", "Conv", "Conv", "MaxPool", "Reshape"]
    assert [[f.op for f in n.fused] for n in graph.nodes[1:3]] == [["Relu"], ["Relu"]]
    assert [n.outputs[0] for n in graph.nodes[1:3]] == ["r1", "r2"]


@pytest.mark.parametrize("target", ["bm1684", "bm1684x"])
def test_a_table_of_the_original_tensors_is_enough(target: str, tmp_path: Path) -> None:
    nodes, constants = block(1, "x", "r1", 4)
    nodes.append(node("LeakyRelu", ["r1"], ["y"], "leaky"))
    graph = imported(model_of(nodes, constants, 13, SIGNAL), tmp_path)
    table = api.calibrate(graph, [Record("r", {"x": RNG.normal(0, 1, SIGNAL).astype(np.float32)})], method="max")
    original = {n: table.tensors[n] for n in ("x", "r1", "y")}
    ranges = import_ranges(graph, original)
    assert ranges["x/2d"] == ranges["x"] and ranges["r1/2d"].threshold == ranges["r1"].threshold
    assert api.quantize(graph, original, target).graph.nodes


def test_pads_join_one_dimensional_convolutions(tmp_path: Path) -> None:
    nodes = [node("Pad", ["x", "p"], ["q"], "pad"), node("Conv", ["q", "w"], ["y"], "conv")]
    constants = {"p": np.int64([0, 0, 1, 0, 0, 2]), "w": RNG.normal(0, 1, (6, 4, 3)).astype(np.float32)}
    graph = imported(model_of(nodes, constants, 13, SIGNAL), tmp_path)
    assert [n.op for n in graph.nodes] == ["Reshape", "Conv", "Reshape"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_transposed_convolutions(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    draw = data.draw
    rank = draw(st.integers(1, 2))
    stride = [draw(st.integers(1, 3)) for _ in range(rank)]
    kernel = [draw(st.integers(s, 4)) for s in stride]
    sizes = (5, 6)[:rank]
    attrs: dict[str, Any] = {"strides": stride}
    pad = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if pad != "NOTSET":
        attrs["auto_pad"] = pad
    if pad != "VALID" and draw(st.booleans()):
        full = [s * (x - 1) + k for s, x, k in zip(stride, sizes, kernel, strict=True)]
        attrs["output_shape"] = [f - draw(st.integers(0, k)) for f, k in zip(full, kernel, strict=True)]
    constants = {"w": RNG.normal(0, 1, (4, 3, *kernel)).astype(np.float32)}
    case = model_of([node("ConvTranspose", ["x", "w"], ["y"], "up", **attrs)], constants, 13, (1, 4, *sizes))
    graph = imported(case, tmp_path_factory.mktemp("m"))
    up = next(n for n in graph.nodes if n.op == "ConvTranspose")
    assert not {"auto_pad", "output_shape"} & set(up.attrs)


def test_consecutive_reshapes_merge(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", ["x", "flat"], ["a"], "first"),
        node("Unsqueeze", ["a", "zero"], ["b"], "second"),
        node("Reshape", ["b", "back"], ["c"], "third"),
        node("Relu", ["c"], ["r"], "relu"),
        node("Flatten", ["r"], ["d"], "fourth"),
        node("Reshape", ["d", "flat"], ["y"], "fifth"),
    ]
    constants = {"flat": np.int64([-1]), "zero": np.int64([0]), "back": np.int64([1, 4, 9, 10])}
    graph = imported(model_of(nodes, constants, 13), tmp_path)
    assert [(n.op, n.inputs[0], n.outputs[0]) for n in graph.nodes] == [("Relu", "x", "r"), ("Reshape", "r", "y")]


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "Gemm"])
def test_affine_chains_join_the_weights(op: str, tmp_path: Path) -> None:
    shape = (3, 4) if op == "Gemm" else (1, 4, 9, 10)
    per = (6,) if op == "Gemm" else (6, 1, 1)
    constants: dict[str, Any] = {k: RNG.uniform(0.5, 2, per).astype(np.float32) for k in ("m", "a", "s", "d")}
    sizes = {"Conv": (6, 4, 3, 3), "ConvTranspose": (4, 6, 3, 3), "Gemm": (4, 6)}
    constants |= {"w": RNG.normal(0, 1, sizes[op]).astype(np.float32), "two": np.float32(2)}
    nodes = [
        node(op, ["x", "w"], ["c"], "host"),
        node("Mul", ["m", "c"], ["t"], "mul"),
        node("Add", ["t", "a"], ["u"], "add"),
        node("Sub", ["s", "u"], ["v"], "sub"),
        node("Div", ["v", "d"], ["z"], "div"),
        node("Add", ["z", "two"], ["y"], "last"),
    ]
    graph = imported(model_of(nodes, constants, 13, shape), tmp_path)
    assert [(n.op, n.name, n.outputs) for n in graph.nodes] == [(op, "host", ["y"])]


def test_affine_operations_that_stay(tmp_path: Path) -> None:
    """Results read twice, constants per element, broadcasts and divisions of a constant."""
    constants = {
        "w": RNG.normal(0, 1, (6, 4, 3, 3)).astype(np.float32),
        "image": RNG.normal(0, 1, (7, 8)).astype(np.float32),
        "one": np.float32(1),
        "batch": RNG.normal(0, 1, (2, 6, 1, 1)).astype(np.float32),
    }
    conv = node("Conv", ["x", "w"], ["c"], "conv")
    cases = [
        [node("Add", ["c", "one"], ["t"], "add"), node("Mul", ["t", "c"], ["y"], "mul")],
        [node("Add", ["c", "image"], ["y"], "add")],
        [node("Add", ["c", "batch"], ["y"], "add")],
        [node("Relu", ["c"], ["r"], "relu"), node("Div", ["one", "r"], ["y"], "div")],
    ]
    for rest in cases:
        used = {i for n in [conv, *rest] for i in n.input}
        kept = {k: v for k, v in constants.items() if k in used}
        onnx.save(model_of([conv, *rest], kept, 13), tmp_path / "m.onnx")
        graph = load_float_graph(tmp_path / "m.onnx")
        expected = ["Conv", *(n.op_type for n in rest if n.op_type != "Relu")]
        assert [n.op for n in graph.nodes if n.op != "Relu"] == expected
