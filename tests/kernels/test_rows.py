"""Element-wise ops with a value for each channel: rows that repeat along the output, and tables of channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

from .test_around_convolutions import BYTES, one_node, random_bytes
from .test_paths import REQUANTS, assert_paths_agree

SHAPES = [  # of the output and of the operand that repeats
    ((2, 5, 7, 9), (1, 5, 1, 1)),
    ((2, 5, 7, 9), (2, 5, 1, 1)),
    ((3, 65, 4, 3), (65, 1, 1)),
    ((1, 130, 40, 41), (1, 130, 1, 1)),
    ((2, 5, 7, 9), ()),
    ((2, 5, 7, 9), (1, 1, 1, 1)),
    ((3, 5, 7, 9), (3, 1, 1, 1)),
    ((2, 64, 1, 1), (1, 64, 1, 1)),
    ((4, 3000), (3000,)),
    ((4, 300, 2), (300, 2)),
    ((4, 300, 2), (1, 1)),
]
OTHERS = [((2, 5, 7, 9), (1, 5, 7, 9)), ((2, 5, 7, 9), (1, 1, 7, 9)), ((2, 5, 7, 9), (9,)), ((4, 300, 2), (300, 1))]
ADD_STAGES: list[dict[str, Any]] = [
    {},
    {"input_requant": "multiplier_shift", "input_multiplier": [47, 29], "input_shift": [9, 5], "clamp_min": 0},
    {"input_requant": "shift", "input_shift": [1, 3], "signs": [1, -1], "input_zero_point": [3, -7], "left_shift": 4},
]


def graph_of(op: str, feeds: dict[str, np.ndarray], shape: tuple[int, ...], attrs: dict[str, Any]) -> Graph:
    return one_node(op, feeds, "int8", shape, attrs)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("shape", "row"), [*SHAPES, *OTHERS])
def test_mul_and_add(shape: tuple[int, ...], row: tuple[int, ...], swapped: bool) -> None:
    rng = np.random.default_rng(len(shape))
    for i, requant in enumerate(REQUANTS):
        x, y = random_bytes(rng, BYTES[i % 2], shape), random_bytes(rng, BYTES[i // 2 % 2], row)
        feeds = {"y": y, "x": x} if swapped else {"x": x, "y": y}
        feeds = dict(zip("ab", feeds.values(), strict=True))
        rules = {"a_zero_point": 3 * i, "b_zero_point": -2 * i, "zero_point": i}
        assert_paths_agree(graph_of("Mul", feeds, shape, requant | rules), feeds)
        assert_paths_agree(graph_of("Add", feeds, shape, requant | ADD_STAGES[i % 3]), feeds)


@pytest.mark.skipif(not _core.path_available("avx2"), reason="the kernels need AVX2")
@pytest.mark.parametrize("op", ["Mul", "Add"])
def test_rows_have_kernels_and_other_repeats_none(op: str) -> None:
    def label(shape: tuple[int, ...], row: tuple[int, ...]) -> str:
        feeds = {"a": np.zeros(shape, np.int8), "b": np.zeros(row, np.int8)}
        return Session(graph_of(op, feeds, shape, {})).implementations["node"]

    assert {label(*case) for case in SHAPES} == {f"{op.lower()}_rows/avx2"}
    assert {label(*case) for case in OTHERS} == {"reference"}


def with_constants(op: str, x: np.ndarray, constants: dict[str, np.ndarray], attrs: dict[str, Any]) -> Graph:
    graph = Graph(op, inputs=["x"], outputs=["y"])
    graph.types = {"x": TensorType(x.dtype.name, x.shape), "y": TensorType("int8", x.shape)}
    for name, values in constants.items():
        graph.add_constant(name, values)
    graph.nodes = [Node(op, "node", ["x", *constants], ["y"], attrs, "bittrue")]
    return graph


@pytest.mark.parametrize("x_dtype", BYTES)
@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (1, 130, 40, 41), (3, 65), (3, 64, 1), (2, 1, 4, 4), (2, 5, 7)])
def test_channel_tables(shape: tuple[int, ...], x_dtype: str) -> None:
    channels = shape[1]
    rng = np.random.default_rng(channels)
    x = random_bytes(rng, x_dtype, shape)
    shifts = [int(s) for s in rng.integers(0, 9, channels)]
    slope = rng.integers(-128, 128, channels).astype(np.int8)
    negative = {"x_zero_point": 5, "negative_requant": "shift", "negative_shift": shifts}
    cases = [
        with_constants("Prelu", x, {"slope": slope}, negative | {"zero_point": 3}),
        with_constants("Prelu", x, {"slope": slope[:1]}, {"negative_requant": "shift", "negative_shift": [7]}),
        with_constants(
            "ChannelScale", x, {"scale": slope, "bias": rng.integers(-9999, 9999, channels).astype(np.int16)},
            {"intermediate_min": -32768, "intermediate_max": 32767, "shift": shifts},
        ),
        with_constants("Requantize", x, {}, {"x_zero_point": 7, "requant": "shift", "shift": shifts}),
    ]  # fmt: skip
    for graph in cases:
        assert_paths_agree(graph, {"x": x})
        label = Session(graph).implementations["node"]
        if channels > 1:  # else the parameters are those of the tensor
            assert label == ("reference" if len(shape) == 3 and shape[2] > 1 else "channel_tables/generic")


def test_slopes_that_are_not_constant() -> None:
    x, slope = np.arange(-8, 8, dtype=np.int8).reshape(2, 8), np.arange(8, dtype=np.int8)
    graph = graph_of("Prelu", {"x": x, "slope": slope}, x.shape, {"negative_requant": "shift", "negative_shift": [2]})
    assert Session(graph).implementations["node"] == "reference"
    assert_paths_agree(graph, {"x": x, "slope": slope})
