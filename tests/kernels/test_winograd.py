"""3x3 convolutions by Winograd's filtering give the sums of the direct way: at the edges of tiles and channels, and up
to the largest sum that it can prove exact."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

from .test_paths import assert_paths_agree
from .test_shapes import check_conv

pytestmark = pytest.mark.skipif(not _core.path_available("avx2"), reason="the vector paths need AVX2")
LABEL = f"conv_winograd_i8/{_core.best_path()}"


def filled(x: int, w: int, channels: int, *, x_dtype: str = "uint8", size: int = 28) -> tuple[Graph, np.ndarray]:
    """One convolution whose inputs are all `x`, its weights all `w`: inside, every sum is as large as it can be."""
    graph = Graph("conv", inputs=["x"], outputs=["y"])
    graph.types |= {
        "x": TensorType(x_dtype, (1, channels, size, size)),
        "y": TensorType("int32", (1, 49, size, size)),
    }
    graph.add_constant("w", np.full((49, channels, 3, 3), w, np.int8))
    graph.nodes = [Node("Conv2d", "conv", ["x", "w"], ["y"], {"pads": [1, 1, 1, 1]}, "bittrue")]
    return graph, np.full((1, channels, size, size), x, x_dtype)


@pytest.mark.parametrize("x, w, x_dtype", [(255, 127, "uint8"), (255, -127, "uint8"), (-128, 127, "int8")])
def test_the_largest_sums(x: int, w: int, x_dtype: str) -> None:
    channels = (2**25 - 1) // (9 * abs(x) * 127)
    graph, feed = filled(x, w, channels, x_dtype=x_dtype)
    assert Session(graph).implementations["conv"] == LABEL
    assert_paths_agree(graph, {"x": feed})
    beyond, _ = filled(x, w, channels + 1, x_dtype=x_dtype)
    assert Session(beyond).implementations["conv"] != LABEL


@pytest.mark.parametrize("size", [(12, 12), (13, 13), (14, 27), (15, 16), (16, 15), (29, 30), (2, 97), (61, 60)])
@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 0, 0, 0), (2, 0, 1, 3)])
@pytest.mark.parametrize("channels", [16, 19, 48, 51])
def test_edges_of_tiles(size: tuple[int, int], pads: tuple[int, int, int, int], channels: int) -> None:
    if min(size) + pads[0] + pads[2] < 3:
        return
    for seed in range(5):
        check_conv(
            (1 + seed % 2, channels, *size), (48, 49, 17, 66)[seed % 4], (3, 3), pads=pads, seed=seed,
            x_dtype=("int8", "uint8")[seed % 2], x_zero_point=(0, 0, -7, 100)[seed % 4], extreme=seed == 3,
        )  # fmt: skip


def test_it_is_used_where_it_pays() -> None:
    graph, _ = filled(1, 1, 48)
    assert Session(graph).implementations["conv"] == LABEL
    assert Session(filled(1, 1, 8)[0]).implementations["conv"] != LABEL
    assert Session(filled(1, 1, 48, size=7)[0]).implementations["conv"] != LABEL
