"""One-node graphs: the C++ core against the numpy model, by bit pattern."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.ops import evaluate_node
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]

SPECIAL = np.array(
    [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1.0,
        -1.0,
        0.5,
        1.5,
        2.5,
        1e-40,
        -1e-40,
        1e-45,
        -1e-45,
        1.17549435e-38,
        1.1754942e-38,
        -1.17549435e-38,
        3.4e38,
        -3.4e38,
        65519.0,
        65520.0,
        65504.0,
        6.1e-5,
        5.9e-8,
        1e-19,
        -2e-20,
        88.7,
        2147483648.0,
        -2147483904.0,
        127.5,
        -128.5,
        0.49999997,
        -103.5,
        -95.0,
    ],
    np.float32,
)


def floats(rng: np.random.Generator, shape: Sequence[int], kind: str) -> Array:
    """Random float32 values: "normal"; "tiny" (products underflow); "wild" (any bits, special values)."""
    if kind == "normal":
        return rng.standard_normal(shape).astype(np.float32)
    if kind == "tiny":
        return (rng.standard_normal(shape) * 2.0 ** rng.integers(-70, -58, shape)).astype(np.float32)
    wild = rng.integers(0, 2**32, shape, dtype=np.uint32).view(np.float32)
    special = rng.choice(SPECIAL, shape)
    usual = (rng.standard_normal(shape) * 10.0 ** rng.integers(-20, 20, shape)).astype(np.float32)
    choice = rng.integers(0, 8, shape)
    return np.where(choice == 0, wild, np.where(choice == 1, special, usual)).astype(np.float32)


seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(["normal", "normal", "tiny", "wild"])
modes = st.fixed_dictionaries(
    {"flush": st.sampled_from([0, 1]), "format": st.sampled_from(["float32", "float32", "float16", "bfloat16"])}
)


def same(a: Array, b: Array) -> bool:
    """Equal bit patterns; every NaN equals every NaN."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype != np.float32:
        return bool(np.array_equal(a, b))
    return bool(((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))).all())


def run_node(
    op: str, inputs: Sequence[Array | None], outputs: Sequence[tuple[str, Sequence[int]]], attrs: Mapping[str, Any]
) -> list[Array]:
    """Runs one node on the core and checks it against its numpy model. The first input is fed, others are constants."""
    graph = Graph("one", inputs=["x0"])
    names = []
    for i, value in enumerate(inputs):
        if value is None:
            names.append("")
            continue
        if i:
            graph.constants[f"x{i}"] = np.ascontiguousarray(value)
        graph.types[f"x{i}"] = TensorType(value.dtype.name, tuple(value.shape))
        names.append(f"x{i}")
    for i, (dtype, shape) in enumerate(outputs):
        graph.types[f"y{i}"] = TensorType(dtype, tuple(int(n) for n in shape))
        graph.outputs.append(f"y{i}")
    node = Node(op, "node", names, list(graph.outputs), dict(attrs), "bittrue")
    graph.nodes.append(node)
    got = Session(graph, threads=2).run({"x0": np.asarray(inputs[0])}).outputs
    expected = evaluate_node(node, inputs, [graph.types[o] for o in graph.outputs])
    results = [got[o] for o in graph.outputs]
    for a, b in zip(results, expected, strict=True):
        if not same(a, b):
            different = ~((a == b) | ((a != a) & (b != b)))
            raise AssertionError(f"{op} {dict(attrs)}: core {a[different][:5]}, model {b[different][:5]}")
    return results
