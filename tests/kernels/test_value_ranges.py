"""What an op says of the range of its outputs holds: the product behind it, chosen by that range, is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bittrue.graph.ir import Graph, Node, TensorType

from .test_paths import assert_paths_agree

SHAPE = (1, 8, 4, 4)
CASES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "pad with a value beyond the range": ("Pad", (1, 8, 6, 6), {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": -128}),
    "windows of padding alone": ("MaxPool2d", (1, 8, 8, 8), {"kernel": [1, 1], "pads": [2, 2, 2, 2]}),
    "windows": ("MaxPool2d", (1, 8, 4, 4), {"kernel": [3, 3], "pads": [1, 1, 1, 1]}),
    "windows with a zero point": ("MaxPool2d", SHAPE, {"kernel": [1, 1], "zero_point": -100}),
    "table": ("Lookup", SHAPE, {}),
    "joined with values of the whole type": ("Concat", (1, 16, 4, 4), {"axis": 1}),
    "joined and shifted": (
        "Concat", (1, 16, 4, 4), {"axis": 1, "input_requant": "shift", "input_shift": [0], "zero_point": -90},
    ),
    "moved": ("Transpose", (1, 4, 8, 4), {"perm": [0, 2, 1, 3]}),
    "part": ("Slice", (1, 4, 4, 4), {"starts": [0, 2, 0, 0]}),
    "larger": ("Resize", (1, 8, 8, 8), {}),
    "the same": ("Reshape", SHAPE, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("clamp_max", [7, 127])
def test_products_behind_moved_values(case: str, clamp_max: int) -> None:
    op, shape, attrs = CASES[case]
    rng = np.random.default_rng(0)
    graph = Graph("moved", inputs=["x"], outputs=["y"])
    graph.types |= {
        "x": TensorType("int8", SHAPE),
        "small": TensorType("int8", SHAPE),
        "moved": TensorType("int8", shape),
        "y": TensorType("int32", (1, 24, *shape[2:])),
    }
    inputs = ["small"]
    if op == "Concat":
        inputs.append("x")
    if op == "Lookup":
        graph.add_constant("table", np.arange(-128, 128).astype(np.int8))
        inputs.append("table")
    graph.add_constant("w", rng.choice([-128, 127], (24, shape[1], 1, 1)).astype(np.int8))
    clip = {"clamp_min": 0, "clamp_max": clamp_max}
    graph.nodes = [
        Node("Clip", "clip", ["x"], ["small"], clip, "bittrue"),
        Node(op, "op", inputs, ["moved"], attrs, "bittrue"),
        Node("Conv2d", "conv", ["moved", "w"], ["y"], {"acc": "wrap32"}, "bittrue"),
    ]
    assert_paths_agree(graph, {"x": rng.integers(-128, 128, SHAPE).astype(np.int8)})
