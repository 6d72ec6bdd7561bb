"""Winograd F(2,3) on BM1684, against the transforms tile by tile in integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue import api
from bittrue.calibrate.table import Threshold
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.ops import evaluate_graph
from bittrue.quantize.context import QuantizeOptions
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize
from bittrue.runtime.session import Session
from bittrue.targets.bm1684.winograd import stored_weights, tile_weights, transformed

F = np.float32


def conv_graph(
    weight: np.ndarray, bias: np.ndarray | None, size: tuple[int, int], pads: list[int], group: int, batch: int = 1
) -> Graph:
    channels = weight.shape[1] * group
    out = (size[0] + pads[0] + pads[2] - 2, size[1] + pads[1] + pads[3] - 2)
    constants = {"w": weight} | ({} if bias is None else {"b": bias})
    attrs = {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "group": group, "pads": pads}
    node = Node("Conv", "conv", ["x", *constants], ["y"], attrs)
    types = {n: TensorType("float32", c.shape) for n, c in constants.items()}
    types |= {"x": TensorType("float32", (batch, channels, *size))}
    types |= {"y": TensorType("float32", (batch, len(weight), *out))}
    return Graph("g", [node], ["x"], ["y"], constants, types)


def lowered(graph: Graph, thresholds: tuple[float, float], asked: bool = True) -> QuantizedModel:
    rows = {n: Threshold(t, -t, t) for n, t in zip("xy", thresholds, strict=True)}
    options = QuantizeOptions(quant_input=True, quant_output=True, winograd=frozenset(["conv"] if asked else []))
    return quantize(graph, rows, "bm1684", options=options)


def by_tiles(x: np.ndarray, u: np.ndarray, bias: np.ndarray, shift: int, pads: list[int], group: int) -> np.ndarray:
    """Every 2x2 tile by itself: B'dB, products with the weights summed over channels, A'mA, bias, shift, clip."""
    data = np.asarray([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    result = np.asarray([[1, 1, 1, 0], [0, 1, -1, -1]])
    x = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (pads[0], pads[2] + 1), (pads[1], pads[3] + 1)))
    height, width = x.shape[2] - 3, x.shape[3] - 3
    y = np.zeros((len(x), len(u), height, width), np.int64)
    per = len(u) // group
    for n, o, i, j in np.ndindex(len(x), len(u), -(-height // 2), -(-width // 2)):
        first = o // per * u.shape[1]
        total = np.zeros((4, 4), np.int64)
        for c in range(u.shape[1]):
            d = x[n, first + c, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
            total += u[o, c] * (data @ d @ data.T)
        tile = ((result @ total @ result.T + bias[o]) * 2 + (1 << shift)) >> (shift + 1)
        rows, columns = min(2, height - 2 * i), min(2, width - 2 * j)
        y[n, o, 2 * i : 2 * i + rows, 2 * j : 2 * j + columns] = tile[:rows, :columns]
    return np.clip(y, -128, 127).astype(np.int8)


def weights_of(model: QuantizedModel) -> tuple[Node, np.ndarray]:
    """The convolution of tiles, and the transformed weights: at a corner of a tile's kernel only one of them stands."""
    node = next(n for n in model.graph.nodes if n.op == "Conv2d")
    return node, model.graph.constants[node.inputs[1]]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 9999),
    size=st.tuples(st.integers(10, 13), st.integers(10, 13)),
    pads=st.sampled_from([[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1], [2, 2, 2, 2]]),
    with_bias=st.booleans(),
    scales=st.tuples(st.floats(0.5, 4), st.floats(0.5, 8)),
)
def test_the_layer_is_winograd(
    seed: int, size: tuple[int, int], pads: list[int], with_bias: bool, scales: tuple[float, float]
) -> None:
    random = np.random.default_rng(seed)
    w = random.standard_normal((3, 2, 3, 3)).astype(F) / 4
    b = random.standard_normal(3).astype(F) / 4 if with_bias else None
    graph = conv_graph(w, b, size, pads, 1, batch=2)
    pixels = graph.types["y"].shape[2] * graph.types["y"].shape[3]
    model = lowered(graph, scales)
    node, kernels = weights_of(model)
    assert kernels.shape[2:] == ((4, 4) if pixels >= 100 else (3, 3))
    if pixels < 100:
        return
    shift = node.attrs["shift"][0]
    sx, sy = scales[0] / 127, scales[1] / 127
    u = np.clip(np.floor(transformed(w) * F(2.0**shift * sx / sy) + F(0.5)), -128, 127).astype(np.int64)
    bias = model.graph.constants[node.inputs[2]][::4] if with_bias else np.zeros(3, np.int64)
    x = random.integers(-128, 128, (2, 2, *size)).astype(np.int8)
    want = by_tiles(x, u, bias.astype(np.int64), shift, pads, 1)
    np.testing.assert_array_equal(Session(model.graph).run({"x": x}).outputs["y"], want)
    np.testing.assert_array_equal(evaluate_graph(model.graph, {"x": x})["y"], want)


def test_groups_of_64_channels() -> None:
    random = np.random.default_rng(0)
    w = random.standard_normal((128, 2, 3, 3)).astype(F) / 4
    graph = conv_graph(w, None, (10, 10), [1, 1, 1, 1], 2)
    model = lowered(graph, (1.0, 1.0))
    node, kernels = weights_of(model)
    assert kernels.shape == (512, 2, 4, 4)
    shift = node.attrs["shift"][0]
    u = np.clip(np.floor(transformed(w) * F(2.0**shift) + F(0.5)), -128, 127).astype(np.int64)
    x = random.integers(-128, 128, (1, 4, 10, 10)).astype(np.int8)
    want = by_tiles(x, u, np.zeros(128, np.int64), shift, [1, 1, 1, 1], 2)
    np.testing.assert_array_equal(Session(model.graph).run({"x": x}).outputs["y"], want)


@given(st.integers(0, 9999))
def test_weights_that_need_no_rounding_give_the_plain_convolution(seed: int) -> None:
    """The 4x4 kernel of each place in a tile is the 3x3 kernel, moved by that place."""
    w = (4 * np.random.default_rng(seed).integers(-3, 4, (2, 2, 3, 3))).astype(F)
    tiles = tile_weights(transformed(w)).reshape(2, 2, 2, 2, 4, 4)
    for i, j in np.ndindex(2, 2):
        want = np.zeros((2, 2, 4, 4))
        want[:, :, i : i + 3, j : j + 3] = w
        np.testing.assert_array_equal(tiles[:, i, j], want)


@given(st.integers(0, 9999))
def test_transformed_weights_come_back(seed: int) -> None:
    u = np.random.default_rng(seed).integers(-128, 128, (3, 2, 4, 4))
    np.testing.assert_array_equal(stored_weights(tile_weights(u)), u)


@pytest.mark.parametrize("case", ["not asked", "small", "depthwise", "groups"])
def test_other_convolutions_stay_direct(case: str) -> None:
    channels, group = {"depthwise": (4, 4), "groups": (4, 2)}.get(case, (2, 1))
    w = np.full((channels, channels // group, 3, 3), 0.1, F)
    size = (9, 9) if case == "small" else (12, 12)
    model = lowered(conv_graph(w, None, size, [1, 1, 1, 1], group), (1.0, 1.0), asked=case != "not asked")
    assert [n.op for n in model.graph.nodes] == ["Conv2d"]


def test_compile_and_verify(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    graph = conv_graph(random.standard_normal((3, 2, 3, 3)).astype(F), None, (11, 12), [1, 1, 1, 1], 1)
    rows = {n: Threshold(t, -t, t) for n, t in (("x", 3.0), ("y", 12.0))}
    table = api.CalibrationTable(rows)
    model = api.compile(graph, "bm1684", tmp_path / "o", table=table, winograd=True)
    assert {n.attrs["evidence"] for n in model.graph.nodes if n.op == "Conv2d"} == {"assumed"}
    result = api.verify(tmp_path / "o")
    assert result.summary.passed
