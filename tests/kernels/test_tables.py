"""Ops of single bytes run as tables, and the other kernels that treat all elements alike: every path against the
reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

from .test_around_convolutions import BYTES, check, one_node, random_bytes
from .test_paths import REQUANTS, assert_paths_agree

SIZES = (1, 31, 32, 33, 127, 128, 129, 300, 70000)


def lookup(x: np.ndarray, table: np.ndarray) -> Graph:
    graph = one_node("Lookup", {"x": x}, table.dtype.name, x.shape, {})
    graph.add_constant("table", table)
    graph.nodes[0].inputs.append("table")
    return graph


@pytest.mark.parametrize("x_dtype", BYTES)
@pytest.mark.parametrize("y_dtype", [*BYTES, "float32"])
def test_lookup(x_dtype: str, y_dtype: str) -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(-128, 128, 256).astype(np.int8)
    for size in SIZES:
        codes = np.resize(rng.permutation(256).astype(np.uint8), size).view(x_dtype)
        feed = table.view(y_dtype) if y_dtype in BYTES else table.astype(y_dtype)
        assert_paths_agree(lookup(codes, feed), {"x": codes})


@pytest.mark.parametrize("op", ["Requantize", "Clip"])
@pytest.mark.parametrize("x_dtype", BYTES)
@pytest.mark.parametrize("requant", [*REQUANTS, {"requant": "none"}])
def test_requantize_and_clip(op: str, x_dtype: str, requant: dict[str, Any]) -> None:
    x = np.arange(2 * 3 * 86).astype(np.uint8).view(x_dtype).reshape(2, 3, 1, 86)
    for attrs in ({}, {"zero_point": -3, "clamp_min": -100, "clamp_max": 90, "zero_point_order": "before_rounding"}):
        rule = requant | attrs | ({"x_zero_point": 7} if op == "Requantize" else {})
        check(op, {"x": x}, "int8", x.shape, rule)


def test_requantize_by_channels() -> None:
    x = random_bytes(np.random.default_rng(1), "int8", (2, 3, 4, 5))
    check("Requantize", {"x": x}, "int8", x.shape, {"requant": "shift", "shift": [0, 1, 2]})


@pytest.mark.parametrize("x_dtype", BYTES)
@pytest.mark.parametrize("flush", [0, 1])
def test_dequantize(x_dtype: str, flush: int) -> None:
    for size in SIZES[:-1]:
        x = np.arange(size).astype(np.uint8).view(x_dtype)
        for scale in (0.37, 1e-40, 3e38, -(2.0**-126)):
            for zero_point in (0, -128, 200, 2**22 + 1, 2**30 + 1):
                attrs = {"scale": [scale], "zero_point": zero_point, "flush": flush}
                check("Dequantize", {"x": x}, "float32", x.shape, attrs)


@pytest.mark.parametrize("a_dtype", BYTES)
@pytest.mark.parametrize("b_dtype", BYTES)
@pytest.mark.parametrize("requant", [*REQUANTS, {"requant": "none"}])
def test_mul(a_dtype: str, b_dtype: str, requant: dict[str, Any]) -> None:
    rng = np.random.default_rng(2)
    for size in (1, 31, 33, 2047, 2049, 70000):
        feeds = {"a": random_bytes(rng, a_dtype, (size,)), "b": random_bytes(rng, b_dtype, (size,))}
        attrs = {"a_zero_point": -3, "b_zero_point": 130, "zero_point": 2, **requant}
        check("Mul", feeds, ("int8", "uint8", "int16", "int32")[size % 4], (size,), attrs)
    small, large = random_bytes(rng, a_dtype, (1, 2, 1, 3)), random_bytes(rng, b_dtype, (2, 2, 5, 3))
    check("Mul", {"a": small, "b": large}, "int8", large.shape, requant)


@pytest.mark.skipif(not _core.path_available("avx2"), reason="needs AVX2")
def test_they_are_the_ones_that_run() -> None:
    x = np.zeros((1, 2, 8, 8), np.int8)
    cases: dict[str, tuple[str, dict[str, np.ndarray], str]] = {
        "byte_table": ("Requantize", {"x": x}, "int8"),
        "dequantize": ("Dequantize", {"x": x}, "float32"),
        "mul_i8": ("Mul", {"a": x, "b": x}, "int8"),
    }
    for name, (op, feeds, dtype) in cases.items():
        graph = one_node(op, feeds, dtype, x.shape, {})
        assert Session(graph, path="avx2").implementations == {"node": f"{name}/avx2"}
    graph = lookup(x, np.zeros(256, np.int8))
    assert Session(graph, path="avx2").implementations == {"node": "byte_table/avx2"}


def test_a_table_may_be_computed() -> None:
    x = np.arange(256).astype(np.uint8)
    graph = Graph("lookup", inputs=["x", "table"], outputs=["y"])
    graph.types |= {n: TensorType("uint8", (256,)) for n in ("x", "table", "y")}
    graph.nodes = [Node("Lookup", "node", ["x", "table"], ["y"], {}, "bittrue")]
    assert_paths_agree(graph, {"x": x, "table": x[::-1].copy()})
