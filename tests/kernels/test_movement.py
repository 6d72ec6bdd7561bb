"""Kernels that move elements of NHWC images: every path against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

from .test_around_convolutions import BYTES, one_node, random_bytes
from .test_paths import assert_paths_agree

DTYPES = ("int8", "uint8", "int16", "float32")
SCALED: list[dict[str, Any]] = [
    {},
    {"clamp_min": -5},
    {"input_requant": "shift", "input_shift": [0, 1, 3], "left_shift": 1},
    {"input_requant": "multiplier_shift", "input_multiplier": [3, -7, 2**30], "input_shift": [1, 4, 31]},
    {"input_requant": "float_scale", "input_scale": [0.3, 1.0, 1.7], "input_zero_point": [1, -2, 100], "zero_point": 3},
]


def random_values(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return random_bytes(rng, dtype, shape) if dtype in BYTES else rng.integers(-30000, 30000, shape).astype(dtype)


def in_pixels(graph: Graph) -> Graph:
    """Puts before every image input nodes that store it as NHWC, because the kernels are used only there."""
    for name in list(graph.inputs):
        type_ = graph.types[name]
        if len(type_.shape) != 4 or 0 in type_.shape:
            continue
        stored, pool = f"{name}/pixels", {"kernel": [1, 1]}
        graph.types[stored] = type_
        if type_.dtype in BYTES:
            nodes = [Node("MaxPool2d", stored, [name], [stored], pool, "bittrue")]
        elif type_.dtype == "int16":
            channels = type_.shape[1]
            weights = f"{name}/weights"
            graph.add_constant(weights, np.eye(channels, dtype=np.int8).reshape(channels, channels, 1, 1))
            nodes = [Node("Conv2d", stored, [name, weights], [stored], {}, "bittrue")]
        else:
            small, pooled = f"{name}/small", f"{name}/pooled"
            graph.types[small] = graph.types[pooled] = TensorType("int8", type_.shape)
            nodes = [
                Node("Quantize", small, [name], [small], {"scale": [1 / 256]}, "bittrue"),
                Node("MaxPool2d", pooled, [small], [pooled], pool, "bittrue"),
                Node("Dequantize", stored, [pooled], [stored], {"scale": [0.1]}, "bittrue"),
            ]
        for node in graph.nodes:
            node.inputs = [stored if i == name else i for i in node.inputs]
        graph.nodes = nodes + graph.nodes
    return graph


def check(op: str, feeds: dict[str, np.ndarray], dtype: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    assert_paths_agree(in_pixels(one_node(op, feeds, dtype, shape, attrs)), feeds)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("rank", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_concat(axis: int, rank: int, dtype: str) -> None:
    if axis >= rank:
        return
    rng = np.random.default_rng(0)
    shape = [2, 5, 3, 7][:rank]
    for lengths in ((1, 33, 64), (2, 0, 3)):
        feeds = {}
        for name, length in zip("abc", lengths, strict=True):
            shape[axis] = length
            feeds[name] = random_values(rng, dtype, tuple(shape))
        shape[axis] = sum(lengths)
        for attrs in SCALED if dtype in BYTES else SCALED[:1]:
            check("Concat", feeds, dtype, tuple(shape), {"axis": axis} | attrs)


def test_concat_of_several_types_and_constants() -> None:
    rng = np.random.default_rng(1)
    feeds = {"a": random_bytes(rng, "int8", (1, 3, 4, 5)), "b": random_bytes(rng, "uint8", (1, 3, 4, 5))}
    attrs = {"axis": 1, "input_requant": "shift", "input_shift": [0, 1]}
    check("Concat", feeds, "uint8", (1, 6, 4, 5), attrs)
    graph = one_node("Concat", {"a": feeds["a"]}, "int8", (1, 6, 4, 5), {"axis": 1})
    graph.add_constant("b", feeds["b"].view(np.int8))
    graph.nodes[0].inputs.append("b")
    assert_paths_agree(in_pixels(graph), {"a": feeds["a"]})


@pytest.mark.parametrize("dtype", DTYPES)
def test_slice(dtype: str) -> None:
    rng = np.random.default_rng(2)
    for shape, starts, steps, out in (
        ((2, 9, 6, 5), [0, 3, 0, 1], [1, 1, 1, 1], (2, 4, 6, 3)),
        ((2, 9, 6, 5), [1, -1, 5, 0], [1, -2, -1, 2], (1, 5, 6, 3)),
        ((2, 3, 8, 8), [0, 0, 1, 0], [1, 1, 2, 2], (2, 3, 4, 4)),
        ((7, 5), [2, 1], [2, 1], (2, 3)),
    ):
        x = random_values(rng, dtype, shape)
        check("Slice", {"x": x}, dtype, out, {"starts": starts, "steps": steps})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -3])
def test_split(dtype: str, axis: int) -> None:
    x = random_values(np.random.default_rng(3), dtype, (6, 6, 6, 6))
    graph = Graph("split", inputs=["x"], outputs=["a", "b", "c"])
    graph.types["x"] = TensorType(dtype, x.shape)
    for name, length in (("a", 1), ("b", 3), ("c", 2)):
        shape = [6, 6, 6, 6]
        shape[axis] = length
        graph.types[name] = TensorType(dtype, tuple(shape))
    graph.nodes = [Node("Split", "node", ["x"], ["a", "b", "c"], {"axis": axis}, "bittrue")]
    assert_paths_agree(in_pixels(graph), {"x": x})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_pad(dtype: str, mode: str) -> None:
    x = random_values(np.random.default_rng(4), dtype, (2, 5, 6, 7))
    for pads in ([0, 0, 1, 2, 0, 0, 3, 0], [1, 2, 0, 0, 0, 1, 0, 0], [0, -1, 2, -2, 0, 0, -1, 0]):
        out = tuple(x.shape[i] + pads[i] + pads[i + 4] for i in range(4))
        attrs: dict[str, Any] = {"pads": pads, "mode": mode}
        check("Pad", {"x": x}, dtype, out, attrs)
        check("Pad", {"x": x}, dtype, out, attrs | {"value": 0.5 if dtype == "float32" else 3})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("coordinate", ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_resize_nearest(dtype: str, coordinate: str, nearest: str) -> None:
    rng = np.random.default_rng(5)
    for shape, size in (((2, 33, 4, 5), (8, 10)), ((1, 3, 7, 6), (3, 11)), ((2, 1, 5, 5), (1, 1))):
        x = random_values(rng, dtype, shape)
        attrs: dict[str, Any] = {"coordinate": coordinate, "nearest": nearest}
        for scales in ({}, {"scales": [size[0] / shape[2] * 1.1, size[1] / shape[3] * 0.9]}):
            check("Resize", {"x": x}, dtype, (*shape[:2], *size), attrs | scales)


@pytest.mark.skipif(not _core.path_available("avx2"), reason="needs AVX2")
def test_they_are_the_ones_that_run() -> None:
    x = np.zeros((1, 2, 8, 8), np.int8)
    cases: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
        "concat": ("Concat", (1, 4, 8, 8), {"axis": 1}),
        "resize_nearest": ("Resize", (1, 2, 16, 16), {}),
        "slice_split_pad": ("Slice", (1, 1, 8, 8), {"starts": [0, 1, 0, 0]}),
    }
    for name, (op, shape, attrs) in cases.items():
        feeds = {"x": x, "z": x} if op == "Concat" else {"x": x}
        graph = one_node(op, feeds, "int8", shape, attrs)
        assert Session(graph, path="avx2").implementations == {"node": "reference"}
        assert Session(in_pixels(graph), path="avx2").implementations["node"] == f"{name}/avx2"
