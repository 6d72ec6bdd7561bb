"""Nodes whose shapes or parameters do not fit are refused when they are loaded, on every path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bittrue._core as _core
from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

X = (1, 4, 6, 6)
Case = tuple[str, list[tuple[int, ...]], tuple[int, ...], dict[str, Any]]
# op, shapes of x and the constants, shape of y, attributes
CASES: dict[str, Case] = {
    "conv_batch": ("Conv2d", [X, (3, 4, 1, 1)], (2, 3, 6, 6), {}),
    "conv_channels": ("Conv2d", [X, (3, 4, 1, 1)], (1, 9, 6, 6), {}),
    "conv_weights": ("Conv2d", [X, (3, 2, 1, 1)], (1, 3, 6, 6), {}),
    "conv_group_zero": ("Conv2d", [X, (3, 4, 1, 1)], (1, 3, 6, 6), {"group": 0}),
    "conv_group": ("Conv2d", [X, (3, 2, 1, 1)], (1, 3, 6, 6), {"group": 2}),
    "conv_no_weights": ("Conv2d", [X], (1, 3, 6, 6), {}),
    "conv_short_bias": ("Conv2d", [X, (3, 4, 1, 1), (2,)], (1, 3, 6, 6), {}),
    "conv_rank": ("Conv2d", [(4, 6, 6), (3, 4, 1, 1)], (1, 3, 6, 6), {}),
    "conv_zero_points": ("Conv2d", [X, (3, 4, 1, 1)], (1, 3, 6, 6), {"w_zero_point": [1, 2]}),
    "conv_shift_entries": ("Conv2d", [X, (3, 4, 1, 1)], (1, 3, 6, 6), {"requant": "shift", "shift": [1, 2]}),
    "conv_clamp": ("Conv2d", [X, (3, 4, 1, 1)], (1, 3, 6, 6), {"clamp_max": 200}),
    "multiplier": ("Clip", [X], X, {"requant": "double_round", "multiplier": [1 << 62]}),
    "deconv_channels": ("ConvTranspose2d", [X, (4, 3, 1, 1)], (1, 9, 6, 6), {}),
    "deconv_weights": ("ConvTranspose2d", [X, (2, 3, 1, 1)], (1, 3, 6, 6), {}),
    "matmul_rows": ("MatMul", [(5, 4), (4, 3)], (9, 3), {}),
    "matmul_columns": ("MatMul", [(5, 4), (4, 3)], (5, 9), {}),
    "matmul_inner": ("MatMul", [(5, 4), (2, 3)], (5, 3), {}),
    "matmul_bias": ("MatMul", [(5, 4), (4, 3), (2,)], (5, 3), {}),
    "matmul_rank": ("MatMul", [(4,), (4, 3)], (3,), {}),
    "pool_channels": ("MaxPool2d", [X], (1, 9, 6, 6), {"kernel": [1, 1]}),
    "pool_batch": ("AvgPool2d", [X], (3, 4, 6, 6), {"kernel": [1, 1]}),
    "pool_kernel": ("AvgPool2d", [X], X, {}),
    "clip": ("Clip", [X], (1, 4, 6, 5), {}),
    "requantize": ("Requantize", [X], (1, 4, 6), {}),
    "requantize_axis": ("Requantize", [X], X, {"axis": -1}),
    "prelu": ("Prelu", [X, (4,)], (1, 4), {}),
    "prelu_slopes": ("Prelu", [X, (3,)], X, {}),
    "prelu_no_slope": ("Prelu", [X], X, {}),
    "lookup": ("Lookup", [X, (256,)], (1, 4), {}),
    "lookup_table": ("Lookup", [X, (255,)], X, {}),
    "channel_scale": ("ChannelScale", [X, (3,), (4,)], X, {}),
    "channel_scale_bits": ("ChannelScale", [X, (4,), (4,)], X, {"wrap_bits": 99}),
    "softmax_table_type": ("SoftmaxTable", [X, (256,)], X, {}),
    "softmax_fixed_type": ("SoftmaxFixed", [X, (256,)], X, {}),
    "reduce": ("Reduce", [X], (1, 4, 6, 9), {"axes": [2]}),
    "reduce_axis": ("Reduce", [X], (1, 4, 1, 6), {"axes": [7]}),
    "argmax": ("ArgMax", [X], (9, 9, 9), {"axis": 1}),
    "add_one": ("Add", [X], X, {}),
    "add_broadcast": ("Add", [X, (5,)], X, {}),
    "add_signs": ("Add", [X, X], X, {"signs": [1, 1, 1]}),
    "mul_broadcast": ("Mul", [X, (2, 4, 6, 6)], X, {}),
}


@pytest.mark.parametrize("path", [p for p in _core.known_paths() if _core.path_available(p)])
@pytest.mark.parametrize("name", CASES)
def test_refused(name: str, path: str) -> None:
    op, shapes, out, attrs = CASES[name]
    graph = Graph("g", inputs=["x"], outputs=["y"])
    graph.types |= {"x": TensorType("int8", shapes[0]), "y": TensorType("int8", out)}
    names = [graph.add_constant(f"c{i}", np.ones(s, np.int8)) for i, s in enumerate(shapes[1:])]
    graph.nodes = [Node(op, "the_node", ["x", *names], ["y"], attrs, "bittrue")]
    with pytest.raises((DataError, UnsupportedError), match="the_node"):
        Session(graph, path=path)
