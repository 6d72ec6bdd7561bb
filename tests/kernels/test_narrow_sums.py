"""Products of bytes are added in 16 bits only where nothing saturates: what would is exact as well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.graph.ir import Graph, Node, TensorType

from .test_paths import assert_paths_agree


def check(x: np.ndarray, w: np.ndarray, *, clamp_max: int | None = None, kernel: int = 1, matmul: bool = False) -> None:
    """x [pixels, channels] times w [output channels, channels * kernel]; clamp_max limits x by a layer before."""
    graph = Graph("narrow", inputs=["x"], outputs=["y"])
    source = "x"
    if matmul:
        graph.types |= {
            "x": TensorType(x.dtype.name, x.shape),
            "y": TensorType("int32", (x.shape[0], w.shape[0])),
        }
        graph.add_constant("w", np.ascontiguousarray(w.T))
        graph.nodes = [Node("MatMul", "product", ["x", "w"], ["y"], {"acc": "wrap32"}, "bittrue")]
        return assert_paths_agree(graph, {"x": x})
    pixels, channels = x.shape
    shape = (1, channels, 1, pixels)
    graph.types |= {"x": TensorType(x.dtype.name, shape)}
    if clamp_max is not None:
        graph.types["small"] = TensorType(x.dtype.name, shape)
        graph.nodes.append(Node("Clip", "clip", ["x"], ["small"], {"clamp_min": 0, "clamp_max": clamp_max}, "bittrue"))
        source = "small"
    graph.types["y"] = TensorType("int32", (1, w.shape[0], 1, pixels - kernel + 1))
    graph.add_constant("w", w.reshape(w.shape[0], channels, 1, kernel))
    attrs: dict[str, Any] = {"acc": "wrap32"}
    graph.nodes.append(Node("Conv2d", "product", [source, "w"], ["y"], attrs, "bittrue"))
    assert_paths_agree(graph, {"x": np.ascontiguousarray(x.T).reshape(shape)})


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12, 16, 31, 64, 257])
@pytest.mark.parametrize("w", [127, -128, 64, 1])
@pytest.mark.parametrize("clamp_max", [None, 127, 7])
def test_the_largest_products(channels: int, w: int, clamp_max: int | None) -> None:
    x = np.full((9, channels), 255, np.uint8)
    weights = np.full((19, channels), w, np.int8)
    check(x, weights, clamp_max=clamp_max)
    check(x, np.tile(weights, 3), clamp_max=clamp_max, kernel=3)
    check(x, weights, matmul=True)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_few_large_values(data: st.DataObject) -> None:
    """Mostly small values or weights with any share of large ones: words are split, left out or multiplied twice."""
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pixels, channels, oc = draw(st.integers(1, 40)), draw(st.integers(1, 150)), draw(st.integers(1, 40))
    kernel = draw(st.sampled_from([1, 1, 3]))
    if pixels < kernel:
        return
    size = draw(st.sampled_from([4, 30, 80, 127]))
    w = rng.integers(-size, size + 1, (oc, channels * kernel))
    w = np.where(rng.random(w.shape) < draw(st.sampled_from([0, 0.01, 0.1])), rng.choice([-128, 127], w.shape), w)
    x = rng.integers(0, draw(st.sampled_from([20, 128, 200])), (pixels, channels))
    x = np.where(rng.random(x.shape) < draw(st.sampled_from([0, 0.01, 0.2, 1])), 255, x)
    clamp_max = draw(st.sampled_from([None, None, 127, 30]))
    check(x.astype(np.uint8), w.astype(np.int8), clamp_max=clamp_max, kernel=kernel)
    check(x.astype(np.uint8), w.astype(np.int8)[:, :channels], matmul=True)
