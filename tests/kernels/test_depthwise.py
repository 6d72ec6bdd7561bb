"""Depthwise convolutions in vectors of channels: how many products 16 bits hold, and windows that leave the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

from .test_paths import REQUANTS, assert_paths_agree
from .test_shapes import check_conv


def filled(w: Any, x: int, *, x_dtype: str, w_dtype: str = "int8", channels: int = 33, **attrs: Any) -> None:
    """All values of one kind, so that every sum is as large as its weights allow."""
    kernel = np.array(w)
    graph = Graph("conv", inputs=["x"], outputs=["y"])
    graph.types |= {
        "x": TensorType(x_dtype, (1, channels, 6, 7)),
        "y": TensorType("int32", (1, channels, 6, 7)),
    }
    graph.add_constant("w", np.broadcast_to(kernel, (channels, 1, *kernel.shape)).astype(w_dtype))
    pads = [size // 2 for size in kernel.shape]
    rule = {"pads": [*pads, *pads], "group": channels} | attrs
    graph.nodes = [Node("Conv2d", "conv", ["x", "w"], ["y"], rule, "bittrue")]
    assert_paths_agree(graph, {"x": np.full((1, channels, 6, 7), x, x_dtype)})


@pytest.mark.parametrize("size", [(3, 3), (5, 5), (7, 7), (1, 4)])
@pytest.mark.parametrize("x, x_dtype", [(-128, "int8"), (127, "int8"), (255, "uint8"), (0, "uint8")])
def test_the_largest_sums(size: tuple[int, int], x: int, x_dtype: str) -> None:
    for w in (-128, 127, 64, 28, -28, 16, 10, 7, -7, 4):
        filled(np.full(size, w), x, x_dtype=x_dtype)
    alternating = np.where(np.arange(size[0] * size[1]).reshape(size) % 2, -128, 127)
    filled(alternating, x, x_dtype=x_dtype)


@pytest.mark.parametrize("x, x_dtype", [(-128, "int8"), (127, "int8"), (255, "uint8"), (0, "uint8")])
def test_weights_beyond_signed_bytes(x: int, x_dtype: str) -> None:
    filled(np.full((3, 3), 255), x, x_dtype=x_dtype, w_dtype="uint8")
    filled(np.full((3, 3), -128), x, x_dtype=x_dtype, w_zero_point=[127])
    filled(np.full((5, 5), 255), x, x_dtype=x_dtype, w_dtype="uint8", w_zero_point=[3] * 16 + [200] * 17)
    filled(np.full((3, 3), 255), x, x_dtype=x_dtype, w_dtype="uint8", w_zero_point=[-4])


@pytest.mark.parametrize("channels", [1, 15, 31, 32, 33, 63, 64, 65, 96])
def test_channels_around_the_blocks(channels: int) -> None:
    for seed in range(len(REQUANTS)):
        check_conv(
            (2, channels, 5, 9), channels, (3, 3), pads=(1, 1, 1, 1), group=channels, seed=seed,
            x_dtype=("int8", "uint8")[seed % 2], x_zero_point=(0, 3, -7, 100)[seed % 4], extreme=seed == 3,
        )  # fmt: skip


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 2, 3, 1), (4, 0, 0, 5), (6, 7, 6, 7)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 3)])
def test_windows_that_leave_the_image(pads: Any, strides: Any, dilations: Any) -> None:
    for kernel, size in (((3, 3), (9, 12)), ((5, 5), (13, 14)), ((2, 4), (5, 130))):
        check_conv((2, 34, *size), 34, kernel, strides=strides, dilations=dilations, pads=pads, group=34,
                   x_dtype="uint8", x_zero_point=130)  # fmt: skip


@pytest.mark.parametrize("y_dtype", ["int8", "uint8", "int16", "int32"])
def test_output_types(y_dtype: str) -> None:
    for seed in range(len(REQUANTS)):
        check_conv((1, 35, 7, 6), 35, (3, 3), pads=(1, 1, 1, 1), group=35, y_dtype=y_dtype, seed=seed)


@pytest.mark.skipif(not _core.path_available("avx2"), reason="needs AVX2")
def test_it_is_used() -> None:
    graph = Graph("conv", inputs=["x"], outputs=["y"])
    graph.types |= {"x": TensorType("int8", (1, 8, 6, 6)), "y": TensorType("int8", (1, 8, 6, 6))}
    graph.add_constant("w", np.ones((8, 1, 3, 3), np.int8))
    graph.nodes = [Node("Conv2d", "conv", ["x", "w"], ["y"], {"pads": [1, 1, 1, 1], "group": 8}, "bittrue")]
    assert Session(graph, path="avx2").implementations == {"conv": "depthwise_i8/avx2"}
