"""Float ops: the C++ core equals the numpy model by bit pattern, and both equal the recorded device."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.errors import DataError, UnsupportedError
from bittrue.ops import evaluate_graph
from bittrue.runtime.session import Session
from bittrue.targets.bm1684.conformance_float import CASES
from tests.ops.float_node import floats, kinds, modes, run_node, same, seeds
from tests.shared import SHARED, needs_shared

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
fast = settings(max_examples=60, deadline=None)
flags = st.sampled_from([0, 1])


@st.composite
def windows(draw: st.DrawFn, dilated: bool = True) -> dict[str, Any]:
    """A window over an input, possibly with outputs that see only padding."""
    side = st.integers(1, 3)
    window: dict[str, Any] = {
        "kernel": [draw(side), draw(side)],
        "strides": [draw(side), draw(side)],
        "dilations": [draw(side), draw(side)] if dilated else [1, 1],
        "pads": [draw(st.integers(0, 4)) for _ in range(4)],
        "hw": [],
        "out": [],
    }
    for k in range(2):
        reach = (window["kernel"][k] - 1) * window["dilations"][k] + 1
        padded = window["pads"][k] + window["pads"][k + 2]
        n = draw(st.integers(max(1, reach - padded), max(1, reach - padded) + 7))
        window["hw"].append(n)
        window["out"].append((n + padded - reach) // window["strides"][k] + 1)
    return window


@fast
@given(windows(), st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), modes, kinds, seeds, flags, st.data())
def test_conv2d(
    window: dict[str, Any],
    group: int,
    ic: int,
    oc: int,
    mode: dict[str, Any],
    kind: str,
    seed: int,
    relu: int,
    data: st.DataObject,
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 3))
    x = floats(rng, (n, group * ic, *window["hw"]), kind)
    w = floats(rng, (group * oc, ic, *window["kernel"]), kind)
    bias = floats(rng, (group * oc,), kind) if data.draw(flags) else None
    attrs = {k: window[k] for k in ("strides", "pads", "dilations")} | mode
    attrs |= {"group": group, "relu": relu, "order": data.draw(st.sampled_from(["plain", "pairs", "alternate"]))}
    attrs |= {"relu_max": 6.0} if relu and data.draw(flags) else {}
    run_node("FloatConv2d", [x, w, bias], [("float32", (n, group * oc, *window["out"]))], attrs)


@fast
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), modes, kinds, seeds, st.data())
def test_conv_transpose2d(
    group: int, ic: int, oc: int, mode: dict[str, Any], kind: str, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    kernel, strides, dilations, hw = (rng.integers(1, 4, 2).tolist() for _ in range(4))
    pads = [int(rng.integers(0, (kernel[k % 2] - 1) * dilations[k % 2] + 1)) for k in range(4)]
    extra = [int(rng.integers(0, s)) for s in strides]
    out = [
        (hw[k] - 1) * strides[k] + (kernel[k] - 1) * dilations[k] + 1 - pads[k] - pads[k + 2] + extra[k]
        for k in range(2)
    ]
    if min(out) < 1:
        pads, out = [0] * 4, [out[k] + pads[k] + pads[k + 2] for k in range(2)]
    x = floats(rng, (2, group * ic, *hw), kind)
    w = floats(rng, (group * ic, oc, *kernel), kind)
    bias = floats(rng, (group * oc,), kind) if data.draw(flags) else None
    attrs = {"strides": strides, "pads": pads, "dilations": dilations, "group": group, "output_padding": extra} | mode
    attrs["order"] = data.draw(st.sampled_from(["plain", "pairs", "alternate"]))
    run_node("FloatConvTranspose2d", [x, w, bias], [("float32", (2, group * oc, *out))], attrs)


def test_conv_transpose2d_is_the_adjoint_of_conv() -> None:
    rng = np.random.default_rng(1)
    x, w = floats(rng, (1, 2, 4, 5), "normal"), floats(rng, (2, 3, 3, 2), "normal")
    y = run_node("FloatConvTranspose2d", [x, w, None], [("float32", (1, 3, 9, 10))], {"strides": [2, 2]})[0]
    expected = np.zeros((3, 9, 10))
    for c, iy, ix in np.ndindex(2, 4, 5):
        expected[:, 2 * iy : 2 * iy + 3, 2 * ix : 2 * ix + 2] += float(x[0, c, iy, ix]) * w[c].astype(np.float64)
    np.testing.assert_allclose(y[0], expected, rtol=1e-4, atol=1e-5)


@fast
@given(st.integers(1, 4), st.integers(0, 9), st.sampled_from([1, 5, 300]), modes, kinds, seeds, st.data())
def test_mat_mul(m: int, k: int, n: int, mode: dict[str, Any], kind: str, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    a_batch, b_batch = data.draw(
        st.sampled_from([((), ()), ((2,), ()), ((2, 1), (3,)), ((1, 3), (2, 1)), ((2,), (2,))])
    )
    a, b = floats(rng, (*a_batch, m, k), kind), floats(rng, (*b_batch, k, n), kind)
    bias = floats(rng, (n,), kind) if data.draw(flags) else None
    shape = (*np.broadcast_shapes(a_batch, b_batch), m, n)
    attrs = mode | {"order": data.draw(st.sampled_from(["plain", "alternate"])), "relu": data.draw(flags)}
    run_node("FloatMatMul", [a, b, bias], [("float32", shape)], attrs)


@fast
@given(windows(), modes, kinds, seeds, flags, flags, st.sampled_from(["plain", "alternate"]))
def test_pools(
    window: dict[str, Any], mode: dict[str, Any], kind: str, seed: int, relu: int, counted: int, order: str
) -> None:
    rng = np.random.default_rng(seed)
    x = floats(rng, (2, 3, *window["hw"]), kind)
    attrs = {k: window[k] for k in ("kernel", "strides", "pads", "dilations")} | mode | {"relu": relu}
    output = [("float32", (2, 3, *window["out"]))]
    run_node("FloatMaxPool2d", [x], output, attrs)
    run_node("FloatAvgPool2d", [x], output, attrs | {"count_include_pad": counted, "order": order})


BINARY = ["add", "sub", "mul", "div", "min", "max", "pow"]
SHAPES = [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((1, 3, 1), (2, 1, 4)), ((5,), ()), ((2, 1), (1, 7))]


@fast
@given(
    st.sampled_from(BINARY), st.sampled_from(SHAPES), modes, kinds, seeds, flags, st.sampled_from(["ieee", "rsqrt2"])
)
def test_binary(
    kind: str, shapes: tuple[Any, Any], mode: dict[str, Any], values: str, seed: int, relu: int, division: str
) -> None:
    rng = np.random.default_rng(seed)
    a, b = floats(rng, shapes[0], values), floats(rng, shapes[1], values)
    attrs = mode | {"kind": kind, "relu": relu, "division": division}
    run_node("FloatBinary", [a, b], [("float32", np.broadcast_shapes(*shapes))], attrs)


UNARY = [
    "relu",
    "leaky_relu",
    "clip",
    "sigmoid",
    "tanh",
    "exp",
    "elu",
    "log",
    "sqrt",
    "erf",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "hard_sigmoid",
    "hard_swish",
    "abs",
    "neg",
    "floor",
    "ceil",
    "round",
    "sin",
    "cos",
    "reciprocal",
    "rsqrt",
    "sign",
    "softsign",
]


@pytest.mark.parametrize("kind", UNARY)
@settings(max_examples=12, deadline=None)
@given(modes, st.sampled_from(["normal", "wild"]), seeds, st.sampled_from(["ieee", "bm1684"]))
def test_unary(kind: str, mode: dict[str, Any], values: str, seed: int, functions: str) -> None:
    x = floats(np.random.default_rng(seed), (3, 50), values)
    run_node("FloatUnary", [x], [("float32", x.shape)], mode | {"kind": kind, "functions": functions})


@fast
@given(modes, kinds, seeds, flags)
def test_parameters_of_unary(mode: dict[str, Any], values: str, seed: int, shared: int) -> None:
    rng = np.random.default_rng(seed)
    x = floats(rng, (2, 3, 4, 5), values)
    output = [("float32", x.shape)]
    run_node("FloatUnary", [x, floats(rng, (1 if shared else 3,), values)], output, mode | {"kind": "prelu"})
    run_node("FloatUnary", [x], output, mode | {"kind": "clip", "alpha": -0.5, "beta": 6.0})
    run_node("FloatUnary", [x], output, mode | {"kind": "leaky_relu", "alpha": 0.1})
    run_node("FloatUnary", [x], output, mode | {"kind": "elu", "alpha": 0.3, "functions": "bm1684"})


@pytest.mark.parametrize(
    ("kind", "exact"),
    [
        ("sigmoid", lambda v: 1 / (1 + math.exp(-v))),
        ("gelu", lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2)))),
        ("mish", lambda v: v * math.tanh(math.log1p(math.exp(v)))),
        ("hard_swish", lambda v: v * min(1, max(0, v / 6 + 0.5))),
        ("softplus", lambda v: math.log1p(math.exp(v))),
    ],
)
def test_unary_against_its_definition(kind: str, exact: Any) -> None:
    x = np.linspace(-4, 4, 101, dtype=np.float32)
    y = run_node("FloatUnary", [x], [("float32", x.shape)], {"kind": kind})[0]
    np.testing.assert_allclose(y, [exact(float(v)) for v in x], rtol=2e-7, atol=1e-7)


@fast
@given(
    st.sampled_from([((2, 7), 1), ((2, 7), -1), ((2, 7, 3), 1), ((1, 5, 1), 1), ((4, 1), 1), ((3, 2, 2), 0)]),
    modes,
    st.sampled_from(["normal", "wild"]),
    seeds,
    st.sampled_from(["ieee", "bm1684", "log"]),
)
def test_softmax(case: tuple[Any, int], mode: dict[str, Any], values: str, seed: int, functions: str) -> None:
    x = floats(np.random.default_rng(seed), case[0], values)
    rule: dict[str, Any] = {"log": 1} if functions == "log" else {"functions": functions}
    run_node("FloatSoftmax", [x], [("float32", x.shape)], mode | {"axis": case[1]} | rule)


def test_log_softmax_by_device_functions_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="log softmax"):
        run_node(
            "FloatSoftmax", [np.ones((2, 3), np.float32)], [("float32", (2, 3))], {"log": 1, "functions": "bm1684"}
        )


@fast
@given(
    st.sampled_from(["sum", "mean", "max", "min", "sum_square", "l1", "l2", "prod"]),
    st.sampled_from([[], [0], [1], [-1], [0, 2], [2, 1]]),
    modes,
    kinds,
    seeds,
    flags,
)
def test_reduce(kind: str, axes: list[int], mode: dict[str, Any], values: str, seed: int, keep: int) -> None:
    x = floats(np.random.default_rng(seed), (3, 4, 5), values)
    shape = np.sum(np.zeros(x.shape), axis=tuple(axes) or None, keepdims=bool(keep)).shape
    attrs = mode | {"kind": kind, "keepdims": keep} | ({"axes": axes} if axes else {})
    run_node("FloatReduce", [x], [("float32", shape)], attrs)


@fast
@given(modes, kinds, seeds, flags, st.sampled_from([-1, 1, 2]))
def test_normalize(mode: dict[str, Any], values: str, seed: int, with_bias: int, axis: int) -> None:
    rng = np.random.default_rng(seed)
    x = floats(rng, (2, 3, 4, 5), values)
    scale = floats(rng, x.shape[axis:], values)
    bias = floats(rng, scale.shape, values) if with_bias else None
    run_node("FloatNormalize", [x, scale, bias], [("float32", x.shape)], mode | {"axis": axis})
    scale, bias = floats(rng, (3,), values), floats(rng, (3,), values) if with_bias else None
    attrs = mode | {"kind": "instance", "epsilon": 1e-3}
    run_node("FloatNormalize", [x, scale, bias], [("float32", x.shape)], attrs)


@fast
@given(modes, kinds, seeds, flags, st.sampled_from([0, 1, -1]), st.integers(1, 3))
def test_top_k(mode: dict[str, Any], values: str, seed: int, largest: int, axis: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x = floats(rng, (3, 4, 5), values)
    x[rng.random(x.shape) < 0.4] = 1.0
    shape = list(x.shape)
    shape[axis] = k
    run_node("TopK", [x], [("float32", shape), ("int64", shape)], mode | {"axis": axis, "largest": largest})


def test_flush_follows_the_result_rounded_with_unlimited_exponent() -> None:
    """The largest products below 2^-126 that round up to it without flushing count as subnormal."""
    a = np.array([2**24 - 1, 2**24 - 1], np.float32) * np.float32(2.0**-75)
    b = np.array([2.0**-75, -(2.0**-75)], np.float32)
    got = run_node("FloatBinary", [a, b], [("float32", (2,))], {"kind": "mul", "flush": 1})[0]
    assert got.view(np.uint32).tolist() == [0, 0x80000000]
    kept = run_node("FloatBinary", [a, b], [("float32", (2,))], {"kind": "mul"})[0]
    assert kept[0] == np.float32(2.0**-126)


@pytest.mark.parametrize("name", sorted(CASES))
@needs_shared
def test_recorded_device(name: str) -> None:
    assert SHARED is not None
    paths = sorted((SHARED / "oracle/bm1684/layers" / name).glob("*.npz"))
    assert paths
    for path in paths:
        with np.load(path) as data:
            case = dict(data)
        graph, feeds, output = CASES[name](case)
        y = np.ascontiguousarray(case["y"])
        assert same(Session(graph).run(feeds).outputs[output], y), path.name
        assert same(evaluate_graph(graph, feeds)[output], y), path.name


def test_device_exp_of_integers_is_correctly_rounded() -> None:
    x = np.arange(-103, 89, dtype=np.float32)
    y = run_node("FloatUnary", [x], [("float32", x.shape)], {"kind": "exp", "functions": "bm1684"})[0]
    exact = [Decimal(int(v)).exp() for v in x]
    for value, true in zip(y, exact, strict=True):
        near = [np.nextafter(value, np.float32(d)) for d in (-np.inf, np.inf)]
        error = abs(Decimal(float(value)) - true)
        assert all(error <= abs(Decimal(float(other)) - true) for other in near)


@pytest.mark.parametrize(
    ("op", "shapes", "attrs"),
    [
        ("FloatConv2d", [(1, 3, 4, 4), (2, 2, 1, 1)], {}),
        ("FloatConv2d", [(1, 2, 4, 4), (2, 2, 1, 1), (3,)], {}),
        ("FloatMatMul", [(2, 3), (4, 2)], {}),
        ("FloatUnary", [(1, 2, 4, 4), (3,)], {"kind": "prelu"}),
        ("FloatMaxPool2d", [(1, 3, 4, 4)], {"kernel": [1, 1]}),
        ("FloatNormalize", [(1, 2, 4, 4), (3,)], {}),
        ("FloatSoftmax", [(1, 3, 4, 4)], {}),
    ],
)
def test_shapes_that_do_not_fit_are_refused(op: str, shapes: list[Any], attrs: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        run_node(op, [np.zeros(s, np.float32) for s in shapes], [("float32", (1, 2, 4, 4))], attrs)
