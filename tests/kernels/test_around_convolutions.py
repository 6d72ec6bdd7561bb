"""The kernels around the convolutions: quantize, add, pools. Every path against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

from .test_paths import REQUANTS, assert_paths_agree

BYTES = ("int8", "uint8")


def one_node(op: str, feeds: dict[str, np.ndarray], dtype: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> Graph:
    graph = Graph(op, inputs=list(feeds), outputs=["y"])
    graph.types |= {n: TensorType(v.dtype.name, v.shape) for n, v in feeds.items()}
    graph.types["y"] = TensorType(dtype, shape)
    graph.nodes = [Node(op, "node", list(feeds), ["y"], attrs, "bittrue")]
    return graph


def check(op: str, feeds: dict[str, np.ndarray], dtype: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    assert_paths_agree(one_node(op, feeds, dtype, shape, attrs), feeds)


def random_bytes(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    extreme = rng.choice([-128, -127, 0, 127], shape)
    return np.where(rng.random(shape) < 0.3, extreme, rng.integers(-128, 128, shape)).astype(np.int8).view(dtype)


@pytest.mark.parametrize("rounding", _core.rounding_names())
@pytest.mark.parametrize("flush", [0, 1])
@pytest.mark.parametrize("scale_op", ["multiply", "divide"])
def test_quantize(rounding: str, flush: int, scale_op: str) -> None:
    rng = np.random.default_rng(0)
    ties = np.arange(-300, 301) / np.float32(2)
    near = np.concatenate([np.nextafter(ties, np.float32(s)) for s in (-1e9, 1e9)])
    special = [np.nan, np.inf, -np.inf, -0.0, 1e-40, -1e-40, 3e38, -3e38, 2.0**-126]
    x = np.concatenate([ties, near, special, rng.normal(0, 90, 4001)]).astype(np.float32)
    for dtype, zero_point, scale in (("int8", 0, 1.0), ("uint8", 128, 0.5), ("int8", -3, 0.37), ("int8", 0, 1e-40)):
        attrs = {"scale": [scale], "zero_point": zero_point, "rounding": rounding, "flush": flush, "scale_op": scale_op}
        check("Quantize", {"x": x}, dtype, x.shape, attrs)
        check("Quantize", {"x": x}, dtype, x.shape, attrs | {"clamp_min": 0, "clamp_max": 100})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_add(data: st.DataObject) -> None:
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([1, 15, 16, 17, 31, 33, 1000]))
    names = draw(st.sampled_from(["ab", "ab", "abc"]))
    feeds = {name: random_bytes(rng, draw(st.sampled_from(BYTES)), (size,)) for name in names}

    def entries(values: st.SearchStrategy[int]) -> st.SearchStrategy[list[int]]:
        return st.lists(values, min_size=len(names), max_size=len(names))

    attrs: dict[str, Any] = {
        "input_requant": draw(st.sampled_from(["none", "shift", "multiplier_shift", "double_round", "float_scale"])),
        "input_rounding": draw(st.sampled_from(["half_up", "half_up", "half_away"])),
        "input_multiplier": draw(entries(st.sampled_from([1, 7, 127, 255, -3, 32767, 2**30]))),
        "input_shift": draw(entries(st.integers(0, 16))),
        "input_zero_point": draw(entries(st.integers(-5, 200))),
        "left_shift": draw(st.sampled_from([0, 0, 1, 8, 20])),
        "signs": draw(entries(st.sampled_from([1, -1, 3]))),
        "saturate_each": draw(st.integers(0, 1)),
        "intermediate_min": -128,
        "zero_point": draw(st.integers(-5, 5)),
        "clamp_min": draw(st.integers(0, 3)),
    }
    attrs |= draw(st.sampled_from([{}, *REQUANTS]))
    check("Add", feeds, draw(st.sampled_from([*BYTES, "int32"])), (size,), attrs)


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("kernel", [[1, 1], [2, 2], [3, 3], [3, 2], [5, 5]])
@pytest.mark.parametrize("strides", [[1, 1], [2, 2], [3, 2], [2, 3]])
def test_max_pool(dtype: str, kernel: list[int], strides: list[int]) -> None:
    rng = np.random.default_rng(1)
    for size in ((7, 6), (33, 34), (9, 70)):
        for pads in ([0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 2, 0]):
            for dilations in ([1, 1], [2, 1]):
                out = [
                    (size[i] + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1
                    for i in range(2)
                ]
                if min(out) < 1:
                    continue
                attrs = {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations, "clamp_max": 100}
                for channels in (3, 34):
                    x = random_bytes(rng, dtype, (2, channels, *size))
                    check("MaxPool2d", {"x": x}, dtype, (2, channels, *out), attrs)


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 65])
def test_max_pool_of_padding_alone(channels: int) -> None:
    x = random_bytes(np.random.default_rng(3), "int8", (2, channels, 3, 4))
    cases: list[dict[str, Any]] = [{"pads": [3, 3, 3, 3]}, {"pads": [0, 2, 0, 2], "clamp_min": -3, "strides": [1, 2]}]
    for attrs in cases:
        rule: dict[str, Any] = {"kernel": [2, 2], "strides": [1, 1]} | attrs
        pads, strides = rule["pads"], rule["strides"]
        out = [(size + pads[i] + pads[i + 2] - 2) // strides[i] + 1 for i, size in enumerate((3, 4))]
        check("MaxPool2d", {"x": x}, "int8", (2, channels, *out), rule)


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("requant", [*REQUANTS, {"requant": "divide", "rounding": "half_even"}])
@pytest.mark.parametrize("count_include_pad", [0, 1])
def test_average_pool(dtype: str, requant: dict[str, Any], count_include_pad: int) -> None:
    rng = np.random.default_rng(4)
    for channels, size, kernel, strides, pads in (
        (3, (7, 8), [3, 3], [1, 1], [1, 1, 1, 1]),
        (65, (9, 6), [2, 3], [2, 2], [0, 1, 1, 0]),
        (130, (5, 5), [5, 5], [1, 1], [4, 4, 4, 4]),
        (17, (13, 14), [12, 13], [1, 1], [0, 0, 0, 0]),
        (2, (4, 4), [2, 2], [1, 1], [3, 2, 2, 3]),
    ):
        out = [(size[i] + pads[i] + pads[i + 2] - kernel[i]) // strides[i] + 1 for i in range(2)]
        attrs = {"kernel": kernel, "strides": strides, "pads": pads, "x_zero_point": 3, "acc": "wrap32", **requant}
        x = random_bytes(rng, dtype, (2, channels, *size))
        check("AvgPool2d", {"x": x}, "int8", (2, channels, *out), attrs | {"count_include_pad": count_include_pad})


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 5), (1, 33)])
@pytest.mark.parametrize("requant", [*REQUANTS, {"requant": "none"}, {"requant": "divide", "rounding": "half_even"}])
def test_global_average_pool(dtype: str, size: tuple[int, int], requant: dict[str, Any]) -> None:
    x = random_bytes(np.random.default_rng(2), dtype, (2, 67, *size))
    attrs = {"kernel": list(size), "x_zero_point": 3, "zero_point": -2, "acc": "wrap32", **requant}
    check("AvgPool2d", {"x": x}, "int8", (2, 67, 1, 1), attrs)


@pytest.mark.skipif(not _core.path_available("avx2"), reason="needs AVX2")
def test_they_are_the_ones_that_run() -> None:
    x = np.zeros((1, 2, 8, 8), np.int8)
    pool = {"kernel": [2, 2], "strides": [2, 2]}
    cases = {
        "add_i8": ("Add", {"a": x, "b": x}, x.shape, {}),
        "max_pool_i8": ("MaxPool2d", {"x": x}, (1, 2, 4, 4), pool),
        "avg_pool_i8": ("AvgPool2d", {"x": x}, (1, 2, 1, 1), {"kernel": [8, 8]}),
        "quantize": ("Quantize", {"x": x.astype(np.float32)}, x.shape, {}),
    }
    for name, (op, feeds, shape, attrs) in cases.items():
        graph = one_node(op, feeds, "int8", shape, attrs)
        assert Session(graph, path="avx2").implementations == {"node": f"{name}/avx2"}
