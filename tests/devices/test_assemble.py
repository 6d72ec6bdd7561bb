"""A network of ours gives the same bits as a graph and as a command stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bittrue._core as _core
from bittrue.devices.bm1684.assemble import COEFFICIENTS, Assembled, assemble
from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.ops import evaluate_graph
from tests.shared import PATHS

Array = np.ndarray[Any, Any]
SHIFT = {"acc": "wrap32", "requant": "shift", "rounding": "half_up"}


def pack(x: Array) -> Array:
    """4N bytes of an int8 tensor."""
    groups = -(-x.shape[0] // 4)
    padded = np.zeros((groups * 4, x[0].size), np.uint8)
    padded[: x.shape[0]] = x.reshape(x.shape[0], -1).view(np.uint8)
    return np.ascontiguousarray(padded.reshape(groups, 4, -1).transpose(0, 2, 1)).reshape(-1)


def unpack(data: Array, like: Array) -> Array:
    groups = -(-like.shape[0] // 4)
    words = data.reshape(groups, -1, 4).transpose(0, 2, 1).reshape(groups * 4, -1)[: like.shape[0]]
    return np.ascontiguousarray(words).view(like.dtype).reshape(like.shape)


def run(program: Assembled, feeds: dict[str, Array], path: str, threads: int, gdma_first: bool) -> Any:
    machine = _core.bm1684.Machine(COEFFICIENTS, program.end - COEFFICIENTS, threads, path)
    if program.coefficients:
        machine.write(COEFFICIENTS, np.frombuffer(program.coefficients, np.uint8))
    for name, value in feeds.items():
        machine.write(program.tensors[name], pack(value))
    planned = _core.bm1684.Program(program.bdc, program.gdma, machine)
    planned.run(machine, planned.order(gdma_first))
    return machine


def check(graph: Graph, feeds: dict[str, Array]) -> None:
    """All tensors of all paths, thread counts and preferences against the numpy models of the ops."""
    values = evaluate_graph(graph, feeds)
    program = assemble(graph)
    for path in PATHS:
        for threads, gdma_first in ((1, True), (3, False)):
            machine = run(program, feeds, path, threads, gdma_first)
            for node in graph.nodes:
                expected = np.ascontiguousarray(values[node.outputs[0]])
                flat = expected.reshape(expected.shape[0], -1)
                data = machine.read(program.tensors[node.outputs[0]], pack(flat).size)
                np.testing.assert_array_equal(unpack(data, flat), flat, err_msg=f"{node.name} {path}")


class Build:
    """A graph of layers one after the other on random data."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> None:
        self.rng = rng
        self.graph = Graph("net", inputs=["x"], outputs=[], types={"x": TensorType(dtype, shape)})
        self.last = "x"

    def values(self, dtype: str, shape: tuple[int, ...]) -> Array:
        info = np.iinfo(dtype)
        return self.rng.integers(info.min, info.max + 1, shape).astype(dtype)

    def add(self, op: str, shape: tuple[int, ...], dtype: str, constants: list[Array], **attrs: Any) -> None:
        name = f"{op}{len(self.graph.nodes)}"
        inputs = [self.last]
        for k, value in enumerate(constants):
            self.graph.add_constant(f"{name}.{k}", value)
            inputs.append(f"{name}.{k}")
        self.graph.types[name] = TensorType(dtype, shape)
        self.graph.nodes.append(Node(op, name, inputs, [name], attrs, "bittrue"))
        self.graph.outputs = [name]
        self.last = name

    def check(self) -> None:
        x = self.graph.types["x"]
        check(self.graph, {"x": self.values(x.dtype, x.shape)})


windows = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "dilation": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "pads": st.tuples(*[st.integers(0, 3)] * 4),
    }
)


def output_size(size: int, before: int, after: int, k: int, s: int, d: int) -> int:
    return (size + before + after - (k - 1) * d - 1) // s + 1


def window_case(window: dict[str, Any], h: int, w: int) -> tuple[tuple[int, int], dict[str, Any]] | None:
    (kh, kw), (sh, sw), (dh, dw), (t, left, b, r) = (window[k] for k in ("kernel", "stride", "dilation", "pads"))
    oh, ow = output_size(h, t, b, kh, sh, dh), output_size(w, left, r, kw, sw, dw)
    if oh < 1 or ow < 1:
        return None
    return (oh, ow), {"strides": [sh, sw], "pads": [t, left, b, r]}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    windows,
    st.sampled_from([1, 2, 3, 4, 5, 33, 65]),
    st.sampled_from([1, 3, 64, 65, 130]),
    st.integers(1, 5),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(["int8", "uint8"]),
    st.sampled_from(["int8", "uint8"]),
    st.integers(0, 31),
    st.booleans(),
)
def test_convolution(seed, window, ic, oc, n, size, xt, wt, shift, bias):  # type: ignore[no-untyped-def]
    case = window_case(window, *size)
    if case is None:
        return
    (oh, ow), attrs = case
    build = Build(np.random.default_rng(seed), (n, ic, *size), xt)
    constants = [build.values(wt, (oc, ic, *window["kernel"]))]
    if bias:
        constants.append(build.values("int16", (oc,)))
    signed = bias or "int8" in (xt, wt)
    yt = "int8" if signed and seed % 2 else "uint8"
    attrs |= {"dilations": list(window["dilation"]), "group": 1, "shift": [shift], **SHIFT}
    build.add("Conv2d", (n, oc, oh, ow), yt, constants, **attrs)
    build.check()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    windows,
    st.sampled_from([2, 3, 64, 65, 130]),
    st.integers(1, 5),
    st.tuples(st.integers(1, 20), st.integers(1, 40)),
    st.sampled_from(["depthwise", "max", "average"]),
    st.sampled_from(["int8", "uint8"]),
    st.integers(0, 14),
)
def test_windows(seed, window, c, n, size, kind, xt, shift):  # type: ignore[no-untyped-def]
    window = window if kind == "depthwise" else window | {"dilation": (1, 1)}
    case = window_case(window, *size)
    if case is None:
        return
    (oh, ow), attrs = case
    rng = np.random.default_rng(seed)
    build = Build(rng, (n, c, *size), xt)
    shape = (n, c, oh, ow)
    if kind == "depthwise":
        constants = [build.values("int8", (c, 1, *window["kernel"])), build.values("int16", (c,))]
        attrs |= {"dilations": list(window["dilation"]), "group": c, "shift": [shift], **SHIFT}
        build.add("Conv2d", shape, "uint8" if seed % 2 else "int8", constants, **attrs)
    elif kind == "max":
        build.add("MaxPool2d", shape, xt, [], kernel=list(window["kernel"]), **attrs)
    else:
        attrs |= {"requant": "multiplier_shift", "multiplier": [int(rng.integers(1, 256))], "shift": [shift]}
        build.add("AvgPool2d", shape, xt, [], kernel=list(window["kernel"]), rounding="half_up", **attrs)
    build.check()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 9),
    st.sampled_from([1, 2, 127, 128, 129, 300]),
    st.sampled_from([1, 5, 128, 130, 515]),
    st.sampled_from(["int8", "uint8"]),
    st.integers(0, 20),
    st.booleans(),
)
def test_fully_connected(seed, rows, depth, outputs, xt, shift, bias):  # type: ignore[no-untyped-def]
    build = Build(np.random.default_rng(seed), (rows, depth), xt)
    constants = [build.values("int8", (depth, outputs))]
    if bias:
        constants.append(build.values("int16", (outputs,)))
    build.add("MatMul", (rows, outputs), "uint8" if seed % 2 else "int8", constants, shift=[shift], **SHIFT)
    build.check()


def test_a_whole_network() -> None:
    build = Build(np.random.default_rng(7), (5, 3, 20, 20), "int8")
    w = build.values("int8", (16, 3, 3, 3)), build.values("int16", (16,))
    conv = {"dilations": [1, 1], "pads": [1, 1, 1, 1]}
    build.add("Conv2d", (5, 16, 10, 10), "uint8", list(w), strides=[2, 2], group=1, shift=[9], **conv, **SHIFT)
    w = build.values("int8", (16, 1, 3, 3)), build.values("int16", (16,))
    build.add("Conv2d", (5, 16, 10, 10), "uint8", list(w), strides=[1, 1], group=16, shift=[10], **conv, **SHIFT)
    build.add("MaxPool2d", (5, 16, 5, 5), "uint8", [], kernel=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    build.add("MatMul", (5, 10), "int8", [build.values("int8", (400, 10)), build.values("int16", (10,))], shift=[12],
              **SHIFT)  # fmt: skip
    build.graph.nodes[-1].inputs[0] = "flat"
    build.graph.types["flat"] = TensorType("uint8", (5, 400))
    build.graph.nodes.insert(3, Node("Reshape", "flat", ["MaxPool2d2"], ["flat"], {}, "bittrue"))
    build.check()


@pytest.mark.parametrize(
    ("op", "attrs", "text"),
    [
        ("Add", {}, "no commands for Add"),
        ("MaxPool2d", {"kernel": [2, 2], "strides": [16, 1]}, "above 15"),
        ("AvgPool2d", {"kernel": [2, 2], "multiplier": [300]}, "multipliers"),
    ],
)
def test_what_cannot_be_assembled_is_named(op: str, attrs: dict[str, Any], text: str) -> None:
    build = Build(np.random.default_rng(0), (1, 2, 4, 4), "int8")
    build.add(op, (1, 2, 2, 2), "int8", [], **attrs)
    with pytest.raises(UnsupportedError, match=f"layer '{op}0'.*{text}"):
        assemble(build.graph)
