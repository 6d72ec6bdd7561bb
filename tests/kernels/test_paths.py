"""Every path equals the reference ops, for every number of threads, with zero tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

PATHS = [p for p in _core.known_paths() if p != "reference" and _core.path_available(p)]
REQUANTS: list[dict[str, Any]] = [
    {"requant": "shift", "shift": [9]},
    {"requant": "multiplier_shift", "multiplier": [1518500250], "shift": [38]},
    {"requant": "double_round", "multiplier": [1518500250], "shift": [7], "rounding": "half_away"},
    {"requant": "float_scale", "scale": [0.0031], "rounding": "half_even"},
    {"requant": "multiplier_shift", "multiplier": [1518500250], "shift": [38], "rounding": "half_away"},
]


def assert_paths_agree(graph: Graph, feeds: dict[str, np.ndarray]) -> None:
    want = Session(graph, path="reference", threads=1).run(feeds).outputs
    for path in PATHS:
        for threads in (1, 3):
            got = Session(graph, path=path, threads=threads).run(feeds).outputs
            for name, value in want.items():
                np.testing.assert_array_equal(got[name], value, err_msg=f"{path}, {threads} threads")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_conv(data: st.DataObject) -> None:
    draw = data.draw
    group = draw(st.sampled_from([1, 1, 2, 3]))
    ic, oc = draw(st.integers(1, 9)) * group, draw(st.integers(1, 9)) * group
    if draw(st.booleans()):  # depthwise with a multiplier
        group, ic = ic, ic
        oc = ic * draw(st.integers(1, 2))
    kh, kw = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    h, w = draw(st.integers(kh, 13)), draw(st.integers(kw, 13))
    strides = [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    dilations = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    pads = [draw(st.integers(0, 5)) for _ in range(4)]
    oh = (h + pads[0] + pads[2] - (kh - 1) * dilations[0] - 1) // strides[0] + 1
    ow = (w + pads[1] + pads[3] - (kw - 1) * dilations[1] - 1) // strides[1] + 1
    if oh < 1 or ow < 1:
        return
    xd, wd = draw(st.sampled_from(["int8", "uint8"])), draw(st.sampled_from(["int8", "uint8"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    graph = Graph("conv", inputs=["x"], outputs=["y"])
    batch = draw(st.integers(1, 2))
    graph.types["x"] = TensorType(xd, (batch, ic, h, w))
    graph.types["y"] = TensorType("int8", (batch, oc, oh, ow))
    x, weight = (
        rng.choice([np.iinfo(d).min, np.iinfo(d).max, 0, 1], s) if draw(st.booleans()) else rng.integers(-128, 128, s)
        for d, s in ((xd, (batch, ic, h, w)), (wd, (oc, ic // group, kh, kw)))
    )
    graph.add_constant("w", weight.astype(wd))
    inputs = ["x", "w"]
    if draw(st.booleans()):
        graph.add_constant("b", rng.integers(-30000, 30000, oc).astype(np.int16))
        inputs.append("b")
    attrs: dict[str, Any] = {
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "group": group,
        "x_zero_point": draw(st.integers(-5, 5)),
        "w_zero_point": [draw(st.integers(0, 5))],
        "acc": draw(st.sampled_from(["wrap32", "exact64"])),
        "zero_point": draw(st.integers(-5, 5)),
        **draw(st.sampled_from(REQUANTS)),
    }
    graph.nodes = [Node("Conv2d", "conv", inputs, ["y"], attrs, "bittrue")]
    assert_paths_agree(graph, {"x": x.astype(xd)})


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 9),
    k=st.sampled_from([1, 3, 7, 8, 9, 64, 67]),
    n=st.sampled_from([1, 3, 4, 5, 17]),
    requant=st.sampled_from(REQUANTS),
    seed=st.integers(0, 2**32 - 1),
)
def test_matmul(m: int, k: int, n: int, requant: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = Graph("fc", inputs=["a"], outputs=["y"])
    graph.types["a"] = TensorType("uint8", (m, k))
    graph.types["y"] = TensorType("int8", (m, n))
    graph.add_constant("b", rng.integers(-128, 128, (k, n)).astype(np.int8))
    graph.add_constant("c", rng.integers(-30000, 30000, n).astype(np.int32))
    attrs = {"a_zero_point": int(rng.integers(0, 200)), "b_zero_point": [int(rng.integers(-3, 3))], **requant}
    graph.nodes = [Node("MatMul", "fc", ["a", "b", "c"], ["y"], attrs, "bittrue")]
    assert_paths_agree(graph, {"a": rng.integers(0, 256, (m, k)).astype(np.uint8)})


def test_the_fast_kernels_are_the_ones_that_run() -> None:
    graph = Graph("conv", inputs=["x"], outputs=["y"])
    graph.types["x"] = TensorType("int8", (1, 8, 6, 6))
    graph.types["y"] = TensorType("int8", (1, 8, 6, 6))
    graph.add_constant("w", np.ones((8, 8, 1, 1), np.int8))
    graph.nodes = [Node("Conv2d", "conv", ["x", "w"], ["y"], {"requant": "shift", "shift": [3]}, "bittrue")]
    assert Session(graph, path="generic").implementations == {"conv": "conv_i8/generic"}
    assert Session(graph, path="reference").implementations == {"conv": "reference"}
