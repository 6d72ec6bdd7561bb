"""Integer ops: C++ reference and kernels against the numpy models on random nodes, zero tolerance."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.ops import evaluate_graph
from bittrue.ops.arithmetic import INT_RANGES
from bittrue.runtime.session import Session

ROUNDINGS = ["half_up", "half_down", "half_away", "half_even", "floor", "ceil", "toward_zero"]
fast = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Case:
    """Draws tensors and attributes, and checks the one-node graph made of them."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.rng = np.random.default_rng(self.draw(st.integers(0, 2**32 - 1)))
        self.graph = Graph("g")
        self.feeds: dict[str, np.ndarray] = {}

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def dtype(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def values(self, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        low, high = INT_RANGES[dtype]
        if self.draw(st.booleans()):
            values = self.rng.choice([low, high, 0, 1], shape)
        else:
            values = self.rng.integers(low, high, shape, endpoint=True, dtype=np.int64)
        return values.astype(getattr(ml_dtypes, dtype) if dtype.endswith("int4") else dtype)

    def input(self, name: str, dtype: str, shape: tuple[int, ...]) -> str:
        self.graph.inputs.append(name)
        self.graph.types[name] = TensorType(dtype, shape)
        self.feeds[name] = self.values(dtype, shape)
        return name

    def constant(self, name: str, dtype: str, shape: tuple[int, ...]) -> str:
        return self.graph.add_constant(name, self.values(dtype, shape))

    def requant(self, channels: int = 1, prefix: str = "", divide: bool = False) -> dict[str, Any]:
        kinds = ["none", "shift", "multiplier_shift", "double_round", "float_scale", *(["divide"] if divide else [])]
        kind = self.draw(st.sampled_from(kinds))
        n = channels if self.draw(st.booleans()) else 1
        attrs: dict[str, Any] = {"requant": kind, "rounding": self.draw(st.sampled_from(ROUNDINGS))}
        if kind in ("shift", "multiplier_shift", "double_round"):
            attrs["shift"] = [self.integer(-3, 40) for _ in range(n)]
        if kind in ("multiplier_shift", "double_round"):
            attrs["multiplier"] = [self.integer(-(2**31) + 1, 2**31 - 1) for _ in range(n)]
            attrs["high_rounding"] = self.draw(st.sampled_from(ROUNDINGS))
        if kind == "float_scale":
            attrs["scale"] = [float(np.float32(2.0 ** self.integer(-20, 1) * 1.37)) for _ in range(n)]
        return {prefix + k: v for k, v in attrs.items()}

    def stage(self, dtype: str, channels: int = 1, divide: bool = False) -> dict[str, Any]:
        low, high = INT_RANGES[dtype]
        attrs = self.requant(channels, divide=divide) | {
            "acc": self.draw(st.sampled_from(["exact64", "wrap32", "sat32"])),
            "zero_point": self.integer(-5, 5),
            "zero_point_order": self.draw(st.sampled_from(["after_rounding", "before_rounding"])),
        }
        if self.draw(st.booleans()):
            attrs |= {"clamp_min": self.integer(low, 0), "clamp_max": self.integer(1, high)}
        return attrs

    def window(self, h: int, w: int, kernel: tuple[int, int]) -> tuple[dict[str, Any], tuple[int, int]]:
        strides = [self.integer(1, 3), self.integer(1, 3)]
        dilations = [self.integer(1, 2), self.integer(1, 2)]
        pads = [self.integer(0, 3) for _ in range(4)]
        sizes = [
            (s + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1
            for i, s in enumerate((h, w))
        ]
        return {"strides": strides, "dilations": dilations, "pads": pads}, (sizes[0], sizes[1])

    def check(self, op: str, inputs: list[str], dtype: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
        self.graph.types["y"] = TensorType(dtype, shape)
        self.graph.outputs = ["y"]
        self.graph.nodes = [Node(op, "node", inputs, ["y"], attrs, "bittrue")]
        want = evaluate_graph(self.graph, self.feeds)["y"]
        for path, threads in (("reference", 1), (None, 3)):
            got = Session(self.graph, path=path, threads=threads).run(self.feeds).outputs["y"]
            np.testing.assert_array_equal(got, want, err_msg=f"{op} {attrs}")
        counted = Session(self.graph).run(self.feeds, counters=True).outputs["y"]
        np.testing.assert_array_equal(counted, want)


OUTPUTS = ("int8", "uint8", "int16", "int32")


@fast
@given(st.data())
def test_conv2d(data: st.DataObject) -> None:
    c = Case(data)
    group = c.integer(1, 3)
    ic, oc = c.integer(1, 5), c.integer(1, 4) * group
    kernel = (c.integer(1, 3), c.integer(1, 3))
    h, w = c.integer(5, 9), c.integer(5, 9)
    attrs, out = c.window(h, w, kernel)
    dtype = c.dtype(*OUTPUTS)
    x = c.input("x", c.dtype("int8", "uint8", "int16"), (2, ic * group, h, w))
    weight = c.constant("w", c.dtype("int8", "uint8", "int4", "uint4", "int16"), (oc, ic, *kernel))
    inputs = [x, weight] + ([c.constant("b", c.dtype("int16", "int32"), (oc,))] if c.integer(0, 1) else [])
    attrs |= {"group": group, "x_zero_point": c.integer(-9, 9), "w_zero_point": [c.integer(-3, 3)]}
    c.check("Conv2d", inputs, dtype, (2, oc, *out), attrs | c.stage(dtype, oc))


@fast
@given(st.data())
def test_conv_transpose2d(data: st.DataObject) -> None:
    c = Case(data)
    group = c.integer(1, 2)
    ic, per_group = c.integer(1, 3), c.integer(1, 3)
    kernel = (c.integer(2, 4), c.integer(2, 4))
    strides, extra = [c.integer(1, 3), c.integer(1, 3)], [0, 0]
    extra = [c.integer(0, s - 1) for s in strides]
    pads = [c.integer(0, 1) for _ in range(4)]
    h, w = c.integer(2, 5), c.integer(2, 5)
    out = [
        s * (n - 1) + e + k - pads[i] - pads[i + 2]
        for i, (s, n, e, k) in enumerate(zip(strides, (h, w), extra, kernel, strict=True))
    ]
    dtype = c.dtype(*OUTPUTS)
    inputs = [
        c.input("x", c.dtype("int8", "uint8", "int16"), (1, ic * group, h, w)),
        c.constant("w", c.dtype("int8", "uint8", "int4"), (ic * group, per_group, *kernel)),
        c.constant("b", "int32", (per_group * group,)),
    ]
    attrs = {
        "strides": strides,
        "pads": pads,
        "output_padding": extra,
        "group": group,
        "x_zero_point": c.integer(-3, 3),
    }
    c.check("ConvTranspose2d", inputs, dtype, (1, per_group * group, *out), attrs | c.stage(dtype, per_group * group))


@fast
@given(st.data())
def test_matmul(data: st.DataObject) -> None:
    c = Case(data)
    m, k, n = c.integer(1, 5), c.integer(1, 20), c.integer(1, 9)
    dtype = c.dtype(*OUTPUTS)
    a = c.input("a", c.dtype("int8", "uint8", "int16"), (2, m, k))
    batched = c.integer(0, 1)
    if batched:
        b = c.input("b", c.dtype("int8", "int16"), (2, k, n))
    else:
        b = c.constant("b", c.dtype("int8", "uint8", "int4", "uint4", "int16"), (k, n))
    attrs = {"a_zero_point": c.integer(-9, 9), "b_zero_point": [c.integer(-3, 3)]}
    c.check("MatMul", [a, b, c.constant("c", "int32", (n,))], dtype, (2, m, n), attrs | c.stage(dtype, n))


@fast
@given(st.data())
def test_pools(data: st.DataObject) -> None:
    c = Case(data)
    kernel = (c.integer(1, 3), c.integer(1, 3))
    attrs, out = c.window(7, 6, kernel)
    x = c.input("x", dtype := c.dtype("int8", "uint8", "int16"), (2, 3, 7, 6))
    attrs["kernel"] = list(kernel)
    if c.integer(0, 1):
        c.check("MaxPool2d", [x], dtype, (2, 3, *out), attrs | {"clamp_min": 0})
    else:
        attrs |= {"count_include_pad": c.integer(0, 1), "x_zero_point": c.integer(-3, 3)}
        c.check("AvgPool2d", [x], dtype, (2, 3, *out), attrs | c.stage(dtype, divide=True))


@fast
@given(st.data())
def test_operands(data: st.DataObject) -> None:
    c = Case(data)
    count = c.integer(2, 4)
    shapes = [(2, 3, 4), (3, 1), (1, 3, 4), (4,)]
    names = [c.input(f"x{i}", c.dtype("int8", "uint8", "int16"), shapes[i]) for i in range(count)]
    dtype = c.dtype(*OUTPUTS)
    op = c.dtype("Add", "Minimum", "Maximum")
    attrs: dict[str, Any] = c.requant(count, prefix="input_")
    attrs |= {"input_zero_point": [c.integer(-5, 5) for _ in range(count)], "left_shift": c.integer(0, 15)}
    if op == "Add":
        attrs["signs"] = [c.draw(st.sampled_from([1, -1])) for _ in range(count)]
        if c.integer(0, 1):
            attrs |= {"saturate_each": 1, "intermediate_min": -100, "intermediate_max": 200}
    c.check(op, names, dtype, (2, 3, 4), attrs | c.stage(dtype))


@fast
@given(st.data())
def test_elementwise(data: st.DataObject) -> None:
    c = Case(data)
    x = c.input("x", dtype := c.dtype("int8", "uint8", "int16"), (2, 5, 3))
    out = c.dtype(*OUTPUTS)
    kind = c.dtype("Mul", "Clip", "Requantize", "Prelu", "ChannelScale", "Reduce", "ArgMax")
    if kind == "Mul":
        b = c.input("b", c.dtype("int8", "uint8", "int16"), (5, 1))
        attrs = {"a_zero_point": c.integer(-3, 3), "b_zero_point": c.integer(-3, 3)}
        c.check("Mul", [x, b], out, (2, 5, 3), attrs | c.stage(out))
    elif kind == "Clip":
        c.check("Clip", [x], out, (2, 5, 3), c.stage(out))
    elif kind == "Requantize":
        axis = c.integer(0, 2)
        attrs = {"x_zero_point": c.integer(-3, 3), "axis": axis}
        c.check("Requantize", [x], out, (2, 5, 3), attrs | c.stage(out, (2, 5, 3)[axis]))
    elif kind == "Prelu":
        slope = c.constant("s", c.dtype("int8", "int16"), (5,) if c.integer(0, 1) else (1,))
        attrs = c.stage(out) | c.requant(5, prefix="negative_") | {"x_zero_point": c.integer(-3, 3)}
        c.check("Prelu", [x, slope], out, (2, 5, 3), attrs)
    elif kind == "ChannelScale":
        attrs = {
            "shift": [c.integer(-8, 20) for _ in range(5)],
            "rounding": c.draw(st.sampled_from(ROUNDINGS)),
            "intermediate_min": -32768,
            "intermediate_max": 32767,
            "wrap_unsigned": c.integer(0, 1),
        }
        c.check(
            "ChannelScale", [x, c.constant("s", "int8", (5,)), c.constant("b", "int16", (5,))], out, (2, 5, 3), attrs
        )
    elif kind == "Reduce":
        axes = c.draw(st.sampled_from([[0], [1], [2], [1, 2], [0, 1, 2]]))
        shape = tuple(1 if i in axes else n for i, n in enumerate((2, 5, 3)))
        attrs = {"kind": c.dtype("sum", "mean", "max", "min"), "axes": axes, "x_zero_point": c.integer(-3, 3)}
        c.check("Reduce", [x], out, shape, attrs | c.stage(out, divide=True))
    else:
        axis = c.integer(0, 2)
        shape = tuple(n for i, n in enumerate((2, 5, 3)) if i != axis)
        c.check("ArgMax", [x], "int64", shape, {"axis": axis, "keepdims": 0, "select_last_index": c.integer(0, 1)})
    assert dtype


@fast
@given(st.data())
def test_tables(data: st.DataObject) -> None:
    c = Case(data)
    kind = c.dtype("Lookup", "LookupInterpolated", "SoftmaxTable", "SoftmaxFixed")
    if kind == "Lookup":
        x = c.input("x", c.dtype("int8", "uint8"), (3, 50))
        out = c.dtype(*OUTPUTS)
        c.check("Lookup", [x, c.constant("t", out, (256,))], out, (3, 50), {})
    elif kind == "LookupInterpolated":
        x = c.input("x", "int16", (3, 50))
        c.check("LookupInterpolated", [x, c.constant("t", "int16", (513,))], "int16", (3, 50), {})
    elif kind == "SoftmaxFixed":
        x = c.input("x", c.dtype("int8", "uint8"), (2, 6, 3))
        out, axis = c.dtype("int8", "uint8", "int16"), c.integer(0, 2)
        c.check("SoftmaxFixed", [x, c.constant("t", "int32", (256,))], out, (2, 6, 3), {"axis": axis})
    else:
        x = c.input("x", c.dtype("int8", "uint8"), (2, 6, 3))
        table = c.graph.add_constant("t", np.exp(-0.1 * np.arange(256)).astype(np.float32))
        out, axis = c.dtype("int8", "uint8"), c.integer(0, 2)
        attrs = {"axis": axis, "output_scale": 1 / 255, "zero_point": c.integer(-3, 3), "rounding": "half_away"}
        c.check("SoftmaxTable", [x, table], out, (2, 6, 3), attrs)


def test_prelu_adds_the_zero_point_of_negative_values_before_rounding() -> None:
    """2 * 1.37 - 3 is -0.26, which is cut to 0; the zero point after rounding would give -1."""
    graph = Graph("prelu", inputs=["x"], outputs=["y"])
    graph.types |= {"x": TensorType("int8", (1, 1)), "y": TensorType("int8", (1, 1))}
    graph.add_constant("slope", np.array([-1], np.int8))
    attrs = {"zero_point": -3, "zero_point_order": "before_rounding", "negative_requant": "float_scale"}
    rule = {"negative_scale": [float(np.float32(1.37))], "negative_rounding": "toward_zero"}
    graph.nodes = [Node("Prelu", "prelu", ["x", "slope"], ["y"], attrs | rule, "bittrue")]
    feeds = {"x": np.array([[-2]], np.int8)}
    assert evaluate_graph(graph, feeds)["y"] == Session(graph).run(feeds).outputs["y"] == 0
