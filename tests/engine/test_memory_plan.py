"""The memory plan: results take the places of dead inputs, in whatever order tensors live and die."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shared import PATHS

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

SHAPE = (1, 16, 5, 7)
SIZE = 16 * 5 * 7
needs_avx2 = pytest.mark.skipif(not _core.path_available("avx2"), reason="needs AVX2")


def adds(*inputs: tuple[str, str]) -> Graph:
    """t0 and t1 are inputs, t2... the sums of pairs."""
    graph = Graph("adds", inputs=["t0", "t1"], outputs=[f"t{len(inputs) + 1}"])
    graph.types |= {f"t{i}": TensorType("int8", SHAPE) for i in range(len(inputs) + 2)}
    for i, pair in enumerate(inputs):
        graph.nodes.append(Node("Add", f"add{i}", list(pair), [f"t{i + 2}"], {}, "bittrue"))
    return graph


def feeds(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.integers(-128, 128, SHAPE).astype(np.int8) for n in ("t0", "t1")}


def assert_traces_agree(graph: Graph) -> None:
    want = Session(graph, path="reference", threads=1).run(feeds(), trace=True).trace
    for path in PATHS:
        session = Session(graph, path=path, threads=2)
        for _ in range(2):  # the second run finds the memory as the first one left it
            got = session.run(feeds(), trace=True).trace
            for name, value in want.items():
                np.testing.assert_array_equal(got[name], value, err_msg=f"{path}, {name}")


@needs_avx2
@pytest.mark.parametrize(
    ("inputs", "tensors"),
    [
        ([("t0", "t1")], 2),  # in the place of t0
        ([("t0", "t0"), ("t1", "t2")], 2),  # a tensor added to itself
        ([("t0", "t1"), ("t0", "t2")], 2),  # t0 is still read: in the place of t1
        ([("t0", "t1"), ("t0", "t2"), ("t1", "t3")], 3),  # both are still read
        ([("t0", "t1"), ("t2", "t2"), ("t3", "t3")], 2),  # one place for all of a chain
    ],
)
def test_sums_take_the_places_of_dead_operands(inputs: list[tuple[str, str]], tensors: int) -> None:
    graph = adds(*inputs)
    session = Session(graph, path="avx2")
    assert session.arena_bytes <= tensors * (SIZE + 63) // 64 * 64
    assert_traces_agree(graph)


@needs_avx2
def test_a_constant_operand_is_not_written_over() -> None:
    graph = adds(("t0", "c"), ("t2", "c"))
    graph.types = {k: v for k, v in graph.types.items() if k != "t1"}
    graph.inputs = ["t0"]
    graph.add_constant("c", np.arange(SIZE).reshape(SHAPE).astype(np.int8))
    want = Session(graph, path="reference").run({"t0": feeds()["t0"]}).outputs["t3"]
    session = Session(graph, path="avx2")
    for _ in range(2):
        np.testing.assert_array_equal(session.run({"t0": feeds()["t0"]}).outputs["t3"], want)


def test_small_tensors_lie_in_the_gaps_of_large_ones() -> None:
    sizes = [64, 6400, 128, 6400, 64]
    graph = Graph("gaps", inputs=["t0"], outputs=["t4"])
    graph.types |= {f"t{i}": TensorType("int8", (s,)) for i, s in enumerate(sizes)}
    for i, (size, result) in enumerate(pairwise(sizes)):
        op, attrs = ("Tile", {"repeats": [result // size]}) if result > size else ("Slice", {"starts": [0]})
        graph.nodes.append(Node(op, f"n{i}", [f"t{i}"], [f"t{i + 1}"], attrs, "bittrue"))
    assert Session(graph).arena_bytes == 6400 + 128


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_of_kernels_and_layouts(data: st.DataObject) -> None:
    draw = data.draw
    graph = adds()
    for i in range(draw(st.integers(1, 12))):
        out = f"t{i + 2}"
        kind = draw(st.sampled_from(["Add", "Add", "Conv2d", "MaxPool2d", "Clip"]))
        inputs = [f"t{draw(st.integers(0, i + 1))}" for _ in range(2 if kind == "Add" else 1)]
        attrs: dict[str, Any] = {}
        if kind == "Conv2d":
            weights = np.random.default_rng(i).integers(-9, 9, (16, 16, 1, 1)).astype(np.int8)
            inputs.append(graph.add_constant(f"w{i}", weights))
            attrs = {"requant": "shift", "shift": [4]}
        elif kind == "MaxPool2d":
            attrs = {"kernel": [3, 3], "pads": [1, 1, 1, 1]}
        elif kind == "Clip":
            attrs = {"zero_point": 1, "clamp_max": 90}
        graph.types[out] = TensorType("int8", SHAPE)
        graph.nodes.append(Node(kind, f"node{i}", inputs, [out], attrs, "bittrue"))
    graph.outputs = [graph.nodes[-1].outputs[0]]
    assert_traces_agree(graph)
