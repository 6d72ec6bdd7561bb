"""Tensors that kernels keep as NHWC go in and come out as NCHW."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session


@pytest.mark.skipif(not _core.path_available("avx2"), reason="no other path has a pool for NHWC")
@pytest.mark.parametrize("channels", [2, 3, 15, 16, 17, 33, 64, 100])
@pytest.mark.parametrize("size", [(1, 15), (4, 4), (7, 9), (8, 8), (13, 5), (16, 12), (200, 3)])
def test_a_pool_of_single_pixels_changes_nothing(channels: int, size: tuple[int, int]) -> None:
    shape = (2, channels, *size)
    graph = Graph("pool", inputs=["x"], outputs=["y"])
    graph.types = {"x": TensorType("int8", shape), "y": TensorType("int8", shape)}
    graph.nodes = [Node("MaxPool2d", "pool", ["x"], ["y"], {"kernel": [1, 1]}, "bittrue")]
    x = np.random.default_rng(channels).integers(-128, 128, shape).astype(np.int8)
    for threads in (1, 3):
        session = Session(graph, threads=threads)
        assert session.implementations["pool"].startswith("max_pool_i8/")
        np.testing.assert_array_equal(session.run({"x": x}).outputs["y"], x)
