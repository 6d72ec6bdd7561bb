"""The session: traces, counters, memory plan, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session


def chain(length: int, size: int = 1000) -> Graph:
    graph = Graph("chain", inputs=["t0"], outputs=[f"t{length}"])
    graph.types["t0"] = TensorType("int16", (size,))
    for i in range(length):
        graph.types[f"t{i + 1}"] = TensorType("int16", (size,))
        attrs = {"zero_point": i + 1, "clamp_max": 1000}
        graph.nodes.append(Node("Clip", f"clip{i}", [f"t{i}"], [f"t{i + 1}"], attrs, "bittrue"))
    return graph


def test_memory_is_reused_and_traces_are_complete() -> None:
    graph = chain(20)
    session = Session(graph)
    assert session.arena_bytes < 3 * 2048 + 64
    x = np.arange(1000, dtype=np.int16)
    result = session.run({"t0": x}, trace=True)
    want = x.astype(int)
    for i in range(20):
        want = np.minimum(want + i + 1, 1000)
        np.testing.assert_array_equal(result.trace[f"t{i + 1}"], want)
    np.testing.assert_array_equal(result.outputs["t20"], want)


def test_counters_are_a_twin_of_the_run() -> None:
    graph = chain(2)
    x = np.arange(1000, dtype=np.int16)
    result = Session(graph, threads=3).run({"t0": x}, counters=True)
    assert result.counters["clip0"] == {
        "values": 1000,
        "saturated_low": 0,
        "saturated_high": 0,
        "overflowed": 0,
        "sum_min": 0,
        "sum_max": 999,
    }
    assert result.counters["clip1"]["saturated_high"] == 2  # 1000 + 2 and 999 + 2
    assert Session(graph).run({"t0": x}).counters == {}


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "input 't0' is missing"),
        ({"t0": np.zeros(999, np.int16)}, "expected"),
        ({"t0": np.zeros(1000, np.int8)}, "expected"),
        ({"t0": np.zeros(1000, np.int16), "q": np.zeros(1)}, "unknown input 'q'"),
    ],
)
def test_bad_feeds(feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Session(chain(1)).run(feeds)


def test_unknown_ops_attributes_rules_and_paths_are_named() -> None:
    graph = chain(1)
    graph.nodes[0].op = "Frobnicate"
    with pytest.raises(UnsupportedError, match=r"clip0.*unknown op 'Frobnicate'"):
        Session(graph)
    graph = chain(1)
    graph.nodes[0].attrs["zeropoint"] = 1
    with pytest.raises(UnsupportedError, match="unknown attribute 'zeropoint'"):
        Session(graph)
    graph = chain(1)
    graph.nodes[0].attrs["rounding"] = "half_odd"
    with pytest.raises(UnsupportedError, match="half_odd"):
        Session(graph)
    with pytest.raises(UsageError, match="nonsense"):
        Session(chain(1), path="nonsense")


def test_a_zero_sized_tensor_runs() -> None:
    assert Session(chain(1, 0)).run({"t0": np.zeros(0, np.int16)}).outputs["t1"].shape == (0,)


def test_feeds_are_only_read() -> None:
    x = np.arange(-500, 500).astype(np.int16)
    given = x.copy()
    result = Session(chain(3)).run({"t0": given})
    np.testing.assert_array_equal(given, x)
    assert not np.shares_memory(result.outputs["t3"], given)


def test_results_that_nobody_wants_have_a_place() -> None:
    graph = Graph("split", inputs=["x"], outputs=["b"])
    sizes = {"a": 1, "b": 2, "c": 5000}
    graph.types = {n: TensorType("int8", (size, 1)) for n, size in sizes.items()} | {"x": TensorType("int8", (5003, 1))}
    graph.nodes = [Node("Split", "split", ["x"], ["a", "b", "c"], {"axis": 0}, "bittrue")]
    x = np.arange(5003).astype(np.int8).reshape(-1, 1)
    session = Session(graph)
    for _ in range(2):
        np.testing.assert_array_equal(session.run({"x": x}).outputs["b"], x[1:3])
    np.testing.assert_array_equal(session.run({"x": x}, trace=["c"]).trace["c"], x[3:])
