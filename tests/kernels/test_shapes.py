"""Shapes at the edges of the tiles of the vector kernels, every path against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bittrue.graph.ir import Graph, Node, TensorType

from .test_paths import REQUANTS, assert_paths_agree

EXTREMES = (-128, -127, 0, 127)


def bytes_of(rng: np.random.Generator, dtype: str, shape: tuple[int, ...], extreme: bool) -> np.ndarray:
    values = rng.choice(EXTREMES, shape) if extreme else rng.integers(-128, 128, shape)
    return values.astype(np.int8).view(dtype)


def check_conv(
    x_shape: tuple[int, int, int, int],
    oc: int,
    kernel: tuple[int, int] = (1, 1),
    *,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
    group: int = 1,
    x_dtype: str = "int8",
    w_dtype: str = "int8",
    y_dtype: str = "int8",
    extreme: bool = False,
    seed: int = 0,
    **attrs: Any,
) -> None:
    rng = np.random.default_rng(seed)
    n, ic, h, w = x_shape
    oh = (h + pads[0] + pads[2] - (kernel[0] - 1) * dilations[0] - 1) // strides[0] + 1
    ow = (w + pads[1] + pads[3] - (kernel[1] - 1) * dilations[1] - 1) // strides[1] + 1
    graph = Graph("conv", inputs=["x"], outputs=["y"])
    graph.types |= {"x": TensorType(x_dtype, x_shape), "y": TensorType(y_dtype, (n, oc, oh, ow))}
    graph.add_constant("w", bytes_of(rng, w_dtype, (oc, ic // group, *kernel), extreme))
    graph.add_constant("b", rng.integers(-30000, 30000, oc).astype(np.int32))
    rule: dict[str, Any] = {"acc": "wrap32", **REQUANTS[seed % len(REQUANTS)], **attrs}
    window = {"strides": list(strides), "pads": list(pads), "dilations": list(dilations), "group": group}
    graph.nodes = [Node("Conv2d", "conv", ["x", "w", "b"], ["y"], window | rule, "bittrue")]
    assert_paths_agree(graph, {"x": bytes_of(rng, x_dtype, x_shape, extreme)})


@pytest.mark.parametrize(
    "pixels", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 26, 47, 48, 49, 50, 52, 53, 97, 193]
)
@pytest.mark.parametrize("oc", [1, 3, 4, 5, 17])
def test_pixels_around_the_tiles(pixels: int, oc: int) -> None:
    check_conv((1, 5, 1, pixels), oc, seed=pixels)


@pytest.mark.parametrize("oc", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129])
@pytest.mark.parametrize("pixels", [1, 2, 49])
def test_output_channels_around_the_blocks(oc: int, pixels: int) -> None:
    check_conv((1, 13, 1, pixels), oc, seed=oc)


@pytest.mark.parametrize("ic", [1, 2, 3, 4, 5, 511, 512, 513, 1023, 1024, 1025, 1543])
def test_long_sums_around_the_blocks_of_k(ic: int) -> None:
    for pixels in (1, 25, 50, 101):
        check_conv((1, ic, 1, pixels), 9, seed=ic)


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("x_dtype", ["int8", "uint8"])
@pytest.mark.parametrize("w_dtype", ["int8", "uint8"])
def test_types_zero_points_and_extremes(x_dtype: str, w_dtype: str, extreme: bool) -> None:
    for seed, (xz, wz) in enumerate([(0, 0), (3, 0), (0, 128), (100, 1), (-4, 2)]):
        check_conv(
            (1, 37, 6, 7), 11, (3, 3), pads=(1, 1, 1, 1), x_dtype=x_dtype, w_dtype=w_dtype, extreme=extreme,
            seed=seed, x_zero_point=xz, w_zero_point=[wz], zero_point=4,
        )  # fmt: skip


@pytest.mark.parametrize("y_dtype", ["int8", "uint8", "int16", "int32"])
@pytest.mark.parametrize("seed", range(len(REQUANTS)))
def test_output_types(y_dtype: str, seed: int) -> None:
    check_conv((1, 19, 7, 7), 21, y_dtype=y_dtype, seed=seed)


@pytest.mark.parametrize("group", [1, 2, 3, 12])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1), (1, 2)])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 3)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 2, 3, 1), (4, 0, 0, 5)])
def test_windows(group: int, strides: Any, dilations: Any, pads: Any) -> None:
    for kernel in ((3, 3), (1, 1), (2, 5)):
        check_conv(
            (2, 12, 13, 17), 24, kernel, strides=strides, dilations=dilations, pads=pads, group=group, seed=group
        )


@pytest.mark.parametrize("size", [7, 14, 28])
def test_shapes_of_networks(size: int) -> None:
    check_conv((1, 64, size, size), 40, (3, 3), pads=(1, 1, 1, 1), seed=1)
    check_conv((1, 3, 2 * size, 2 * size), 17, (7, 7), strides=(2, 2), pads=(3, 3, 3, 3), seed=2)
    check_conv((1, 24, 2 * size, 2 * size), 12, strides=(2, 2), seed=3)


@pytest.mark.parametrize("group", [1, 3, 32])
@pytest.mark.parametrize("multiplicity", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 9), (14, 15), (17, 33), (5, 112)])
def test_depthwise(group: int, multiplicity: int, size: tuple[int, int]) -> None:
    for seed, kernel in enumerate([(3, 3), (5, 5), (1, 1), (3, 2), (7, 7)]):
        for strides in ((1, 1), (2, 2), (1, 3)):
            top, left = kernel[0] // 2, kernel[1] // 2
            if size[0] + 2 * top < kernel[0] or size[1] + 2 * left < kernel[1]:
                continue
            check_conv(
                (1, group, *size), group * multiplicity, kernel, strides=strides, pads=(top, left, top, left),
                group=group, x_dtype=("int8", "uint8")[seed % 2], seed=seed, extreme=seed == 0, x_zero_point=seed,
            )  # fmt: skip


@pytest.mark.parametrize("n", [1, 7, 8, 9, 31, 33, 127, 129, 600])
@pytest.mark.parametrize("k", [1, 2, 5, 64, 1025])
def test_fully_connected(n: int, k: int) -> None:
    for m in (1, 3):
        rng = np.random.default_rng(n * k)
        graph = Graph("fc", inputs=["a"], outputs=["y"])
        graph.types |= {"a": TensorType("int8", (m, k)), "y": TensorType("int8", (m, n))}
        graph.add_constant("b", bytes_of(rng, "int8", (k, n), k > 64))
        graph.add_constant("c", rng.integers(-30000, 30000, n).astype(np.int32))
        rule = {"requant": "multiplier_shift", "shift": [44], "acc": "wrap32", "rounding": "half_up"}
        attrs = rule | {"multiplier": rng.integers(2**30, 2**31, n).tolist(), "shift": rng.integers(40, 46, n).tolist()}
        graph.nodes = [Node("MatMul", "fc", ["a", "b", "c"], ["y"], attrs, "bittrue")]
        assert_paths_agree(graph, {"a": bytes_of(rng, "int8", (m, k), k > 64)})


@pytest.mark.parametrize("group", [1, 2, 6])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2), (4, 4)])
@pytest.mark.parametrize("kernel", [(2, 2), (4, 4), (3, 3), (5, 4)])
def test_transposed(group: int, strides: tuple[int, int], kernel: tuple[int, int]) -> None:
    ic, oc, size = 12, 18, (5, 7)
    for seed, pads in enumerate([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0)]):
        shape = tuple(
            (size[i] - 1) * strides[i] + kernel[i] - pads[i] - pads[i + 2] + seed % 2 * (strides[i] - 1)
            for i in range(2)
        )
        if min(shape) < 1:
            continue
        rng = np.random.default_rng(seed)
        dtype = ("int8", "uint8")[seed % 2]
        graph = Graph("deconv", inputs=["x"], outputs=["y"])
        graph.types |= {"x": TensorType(dtype, (2, ic, *size)), "y": TensorType("int8", (2, oc, *shape))}
        graph.add_constant("w", bytes_of(rng, "int8", (ic, oc // group, *kernel), seed == 2))
        graph.add_constant("b", rng.integers(-30000, 30000, oc).astype(np.int32))
        attrs = {"strides": list(strides), "pads": list(pads), "group": group, "x_zero_point": 3 * seed}
        rule = {"acc": "wrap32", **REQUANTS[seed]}
        graph.nodes = [Node("ConvTranspose2d", "deconv", ["x", "w", "b"], ["y"], attrs | rule, "bittrue")]
        assert_paths_agree(graph, {"x": bytes_of(rng, dtype, (2, ic, *size), seed == 2)})


@pytest.mark.parametrize(
    "x_dtype, w_dtype, largest", [("int16", "int8", 127), ("int16", "int16", 700), ("uint8", "int4", 7)]
)
def test_wide_and_narrow_types(x_dtype: str, w_dtype: str, largest: int) -> None:
    rng = np.random.default_rng(largest)
    for kernel, pads in (((1, 1), (0, 0, 0, 0)), ((3, 3), (1, 1, 1, 1))):
        graph = Graph("conv", inputs=["x"], outputs=["y"])
        graph.types |= {"x": TensorType(x_dtype, (1, 13, 9, 9)), "y": TensorType("int16", (1, 21, 9, 9))}
        graph.types["w"] = TensorType(w_dtype, (21, 13, *kernel))
        graph.constants["w"] = rng.integers(-largest, largest + 1, (21, 13, *kernel)).astype(
            np.int16 if w_dtype == "int16" else np.int8
        )
        rule = {"requant": "multiplier_shift", "multiplier": [1518500250], "shift": [45], "zero_point": 3}
        graph.nodes = [Node("Conv2d", "conv", ["x", "w"], ["y"], {"pads": list(pads)} | rule, "bittrue")]
        info = np.iinfo(x_dtype)
        assert_paths_agree(graph, {"x": rng.integers(info.min, info.max + 1, (1, 13, 9, 9)).astype(x_dtype)})
