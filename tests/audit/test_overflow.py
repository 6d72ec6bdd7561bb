"""Accumulators: exact sums, bounds that hold, planted overflows, and the same tallies as a counting run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bittrue import api
from bittrue.audit.accumulators import with_probes
from bittrue.audit.bounds import SUMS, sum_bound, value_ranges
from bittrue.audit.overflow import bits_needed
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import DataError
from bittrue.graph.ir import Graph
from bittrue.ops import OPS, evaluate_graph
from bittrue.ops.arithmetic import INT_RANGES
from bittrue.runtime.session import Session
from tests.audit.nets import DIGITS, one_node, pictures, quantized, run_cli, table_of, three_convolutions

fast = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def values(draw: Any, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = INT_RANGES[dtype]
    if draw(st.booleans()):
        return rng.choice([low, high], shape).astype(dtype)
    return rng.integers(low, high, shape, endpoint=True, dtype=np.int64).astype(dtype)


def draw_node(draw: Any) -> tuple[Graph, dict[str, np.ndarray]]:
    """A one-node graph with an integer sum, and inputs."""
    op = draw(st.sampled_from(sorted(SUMS)))
    x = draw(st.sampled_from(["int8", "uint8", "int16"]))
    small = st.integers(-9, 9)
    shape: tuple[int, ...] = (2, 4, 6, 5)
    constants: dict[str, np.ndarray] = {}
    attrs: dict[str, Any] = {"acc": draw(st.sampled_from(["exact64", "wrap32", "sat32"]))}
    inputs, out = {"x": (x, shape)}, shape
    w = draw(st.sampled_from(["int8", "uint8", "int16"]))
    if op == "Conv2d":
        constants = {"w": values(draw, w, (6, 2, 3, 2)), "b": values(draw, "int32", (6,))}
        attrs |= {"group": 2, "pads": [1, 1, 1, 0], "x_zero_point": draw(small), "w_zero_point": [draw(small)]}
        out = (2, 6, 6, 5)
    elif op == "ConvTranspose2d":
        constants = {"w": values(draw, w, (4, 3, 3, 2)), "b": values(draw, "int32", (6,))}
        attrs |= {"group": 2, "strides": [2, 3], "x_zero_point": draw(small)}
        out = (2, 6, 13, 14)
    elif op == "MatMul":
        attrs |= {"a_zero_point": draw(small), "b_zero_point": [draw(small)]}
        if draw(st.booleans()):
            constants = {"w": values(draw, w, (5, 7)), "b": values(draw, "int32", (7,))}
        else:
            inputs["z"] = ("int8", (2, 4, 5, 7))
        out = (2, 4, 6, 7)
    elif op == "AvgPool2d":
        attrs |= {"kernel": [2, 3], "pads": [0, 1, 0, 1], "x_zero_point": draw(small)}
        out = (2, 4, 5, 5)
    elif op == "Reduce":
        attrs |= {
            "kind": draw(st.sampled_from(["sum", "mean", "max", "min"])),
            "axes": [1, 3],
            "x_zero_point": draw(small),
        }
        attrs |= {
            "axes": [1, 3],
            "keepdims": 1,
            "x_zero_point": draw(small),
            "requant": draw(st.sampled_from(["divide", "none"])),
        }
        out = (2, 1, 6, 1)
    elif op == "Requantize":
        attrs |= {"x_zero_point": draw(small), "axis": 2, "requant": "shift", "shift": [1] * 6}
    elif op == "Add":
        inputs |= {"z": ("int8", (4, 1, 1)), "t": ("uint8", shape)}
        attrs |= {
            "signs": [draw(st.sampled_from([1, -1])) for _ in range(3)],
            "input_requant": "multiplier_shift",
            "input_multiplier": [draw(st.integers(-99, 99)) for _ in range(3)],
            "input_shift": [draw(st.integers(0, 9)) for _ in range(3)],
            "input_zero_point": [draw(small)],
        }
        if draw(st.booleans()):
            attrs |= {"saturate_each": 1, "intermediate_min": -128, "intermediate_max": 127}
    elif op == "Mul":
        inputs["z"] = ("int16", (4, 1, 1))
        attrs |= {"a_zero_point": draw(small), "b_zero_point": draw(small)}
    else:
        constants = {"w": values(draw, "int8", (4,)), "b": values(draw, "int16", (4,))}
        attrs = {"intermediate_min": -32768, "intermediate_max": 32767, "shift": [draw(st.integers(0, 9))]}
    graph = one_node(op, inputs, constants, ("int8", out), **attrs)
    return graph, {n: values(draw, *t) for n, t in inputs.items()}


@fast
@given(st.data())
def test_sums_are_exact_and_stay_inside_the_bound(data: st.DataObject) -> None:
    graph, feeds = draw_node(data.draw)
    twin, probes = with_probes(graph)
    assert probes[-1].node is graph.nodes[0]
    got = Session(twin).run(feeds, trace=[p.sums for p in probes])
    want = evaluate_graph(twin, feeds)
    np.testing.assert_array_equal(got.outputs["y"], evaluate_graph(graph, feeds)["y"])
    for probe in probes:
        sums = got.trace[probe.sums]
        np.testing.assert_array_equal(sums, want[probe.sums])
        axes = tuple(i for i in range(sums.ndim) if i != probe.axis)
        assert np.all(sums.min(axes) >= probe.bound.low) and np.all(sums.max(axes) <= probe.bound.high)


def test_every_op_with_an_accumulator_has_a_bound() -> None:
    """The others pass one value of an input on, so that their sum cannot grow."""
    passing = {"MaxPool2d", "Minimum", "Maximum", "Clip", "Prelu"}
    assert {name for name, op in OPS.items() if "acc" in op.attributes} == (set(SUMS) - {"ChannelScale"}) | passing


def test_the_bound_is_reached() -> None:
    w = np.random.default_rng(0).integers(-128, 128, (3, 4, 1, 1)).astype(np.int8)
    graph = one_node("Conv2d", {"x": ("int8", (1, 4, 1, 1))}, {"w": w}, ("int8", (1, 3, 1, 1)))
    bound = sum_bound(graph.nodes[0], graph, value_ranges(graph))
    twin, probes = with_probes(graph)
    for channel in range(3):
        for sign, side in ((1, bound.high), (-1, bound.low)):
            x = np.where(sign * w[channel] > 0, 127, -128).astype(np.int8).reshape(1, 4, 1, 1)
            sums = Session(twin).run({"x": x}, trace=[probes[0].sums]).trace[probes[0].sums]
            assert sums[0, channel, 0, 0] == side[channel]


def test_ranges_follow_clamps_tables_and_copies() -> None:
    graph = one_node("Clip", {"x": ("uint8", (1, 4))}, {}, ("uint8", (1, 4)), clamp_max=9)
    assert value_ranges(graph)["y"] == (0, 9)
    table = np.arange(256).astype(np.uint8)[::-1].copy()
    graph = one_node("Lookup", {"x": ("int8", (1, 4))}, {"t": table}, ("uint8", (1, 4)))
    assert value_ranges(graph)["y"] == (0, 255)
    graph = one_node("Pad", {"x": ("uint8", (1, 4))}, {}, ("uint8", (1, 6)), pads=[0, 1, 0, 1], value=3)
    assert value_ranges(graph)["y"] == (0, 255)
    graph = one_node("Reshape", {"x": ("uint8", (1, 4))}, {}, ("uint8", (4,)))
    assert value_ranges(graph)["y"] == (0, 255)


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(0, 0, 1), (-1, 0, 1), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (-(2**31), 1, 32)]
)
def test_bits_needed(low: int, high: int, bits: int) -> None:
    assert bits_needed(low, high) == bits


TAPS = 140_000  # 127 * 127 * TAPS does not fit 32 bits


def overflowing() -> Graph:
    """Channel 0 can wrap its 32-bit accumulator, channel 1 cannot."""
    w = np.ones((TAPS, 2), np.int8)
    w[:, 0] = 127
    attrs = {"acc": "wrap32", "requant": "shift", "shift": [20]}
    return one_node("MatMul", {"x": ("int8", (1, TAPS))}, {"w": w}, ("int8", (1, 2)), **attrs)


def test_a_planted_32_bit_overflow_is_counted() -> None:
    data = [
        Record("zero", {"x": np.zeros((1, TAPS), np.int8)}),
        Record("full", {"x": np.full((1, TAPS), 127, np.int8)}),
    ]
    row = api.overflow(quantized(overflowing()), data).accumulators[0]
    assert row.overflowed.tolist() == [1, 0] and row.limit_bits == 32
    assert row.sum_max.tolist() == [127 * 127 * TAPS, 127 * TAPS] and row.sum_min.tolist() == [0, 0]
    assert row.worst_min.tolist() == [-128 * 127 * TAPS, -128 * TAPS]
    assert row.headroom() == row.headroom(0) == -1 and row.headroom(1) == 6  # 128 * TAPS needs 26 bits
    assert row.headroom(seen=True) == -1 and row.headroom(1, seen=True) == 6
    stored = row.as_dict()
    assert stored["overflowed"] == 1 and stored["tightest"][0]["channel"] == 0
    harmless = api.overflow(quantized(overflowing()), data[:1]).accumulators[0]
    assert harmless.overflowed.sum() == 0 and harmless.headroom() == -1 and harmless.headroom(seen=True) == 31


def test_a_planted_16_bit_overflow_is_counted() -> None:
    constants = {"s": np.array([127, 1], np.int8), "b": np.array([32000, 0], np.int16)}
    attrs = {"intermediate_min": -32768, "intermediate_max": 32767, "shift": [8]}
    graph = one_node("ChannelScale", {"x": ("int8", (1, 2, 3))}, constants, ("int8", (1, 2, 3)), **attrs)
    x = np.array([[[127, 0, -128]] * 2], np.int8)
    row = api.overflow(quantized(graph), [Record("r", {"x": x})]).accumulators[0]
    assert row.limit_bits == 16 and row.overflowed.tolist() == [1, 0]
    assert row.headroom(0) == -1 and row.headroom(1) == 8
    # A relu in the intermediate range takes negative values on purpose.
    graph.nodes[0].attrs["intermediate_min"] = 0
    constants["b"][:] = 0
    assert api.overflow(quantized(graph), [Record("r", {"x": x})]).accumulators[0].overflowed.sum() == 0


def test_a_running_sum_that_saturates_is_counted() -> None:
    attrs = {"saturate_each": 1, "intermediate_min": -128, "intermediate_max": 127}
    shapes = {n: ("int8", (1, 2)) for n in ("a", "b", "c")}
    graph = one_node("Add", shapes, {}, ("int8", (1, 2)), **attrs)
    feeds = {n: np.array([[v, 1]], np.int8) for n, v in (("a", 100), ("b", 100), ("c", -90))}
    running, final = api.overflow(quantized(graph), [Record("r", feeds)]).accumulators
    assert running.part == "sum of 2" and running.overflowed.tolist() == [1, 0] and running.headroom() == -1
    assert final.limit is None and final.headroom() is None and final.sum_max.tolist() == [37, 3]


def test_no_samples_is_an_error() -> None:
    with pytest.raises(DataError, match="no samples"):
        api.overflow(quantized(overflowing()), [])


@pytest.mark.parametrize("target", ["bm1684", "bm1684x"])
def test_the_audit_agrees_with_a_counting_run(target: str) -> None:
    graph = api.load_float(DIGITS / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, DIGITS / "calibration.npz"), method="kl")
    model = api.quantize(graph, {n: _smaller(t) for n, t in table.tensors.items()}, target)
    data = list(api.records(graph, DIGITS / "test.npz", limit=3))
    audit = api.overflow(model, data)
    session = Session(model.graph)
    counted = [session.run(r.feeds, counters=True).counters for r in data]
    assert len(audit.accumulators) >= 9 and audit.samples == 3
    clipped = 0
    for row in audit.accumulators:
        tallies = [c[row.layer] for c in counted]
        assert row.values == sum(t["values"] for t in tallies)
        assert int(row.sum_min.min()) == min(t["sum_min"] for t in tallies)
        assert int(row.sum_max.max()) == max(t["sum_max"] for t in tallies)
        assert int(row.overflowed.sum()) == sum(t["overflowed"] for t in tallies)
        assert row.below is not None and row.above is not None
        assert int(row.below.sum()) == sum(t["saturated_low"] for t in tallies)
        assert int(row.above.sum()) == sum(t["saturated_high"] for t in tallies)
        clipped += int(row.clipped().sum())  # type: ignore[union-attr]
    assert clipped > 100


def _smaller(t: Any) -> Any:
    """A threshold that clips."""
    return type(t)(t.threshold * 0.2, t.min, t.max)


def test_thresholds_that_clip_float_values(tmp_path: Path) -> None:
    graph = api.load_float(three_convolutions(tmp_path))
    data = pictures(4)
    table = table_of(graph, data)
    audit = api.overflow(api.quantize(graph, table.tensors, "bm1684"), data, graph=graph)
    assert not any(c.clipped for c in audit.thresholds)
    table.tensors["r1"].threshold *= 0.25
    audit = api.overflow(api.quantize(graph, table.tensors, "bm1684"), data, graph=graph)
    truth = np.concatenate([FloatRunner(graph, ["r1"]).run(r.feeds)["r1"] for r in data])
    row = next(c for c in audit.thresholds if c.tensor == "r1")
    assert row.clipped == np.count_nonzero(truth > row.threshold) > 0 and row.values == truth.size
    assert row.as_dict()["times_threshold"] == pytest.approx(4.0)
    assert {c.tensor for c in audit.thresholds if c.clipped} == {"r1"}


def test_without_a_float_model_the_borders_are_measured(tmp_path: Path) -> None:
    graph = api.load_float(three_convolutions(tmp_path))
    data = pictures(2)
    table = table_of(graph, data)
    table.tensors["x"].threshold *= 0.5
    audit = api.overflow(api.quantize(graph, table.tensors, "bm1684"), data)
    (row,) = audit.thresholds
    codes = np.concatenate([r.feeds["x"] for r in data]) / (row.threshold / 127)
    outside = np.count_nonzero((codes >= 127.5) | (codes <= -128.5))
    assert row.source == "quantize" and row.tensor == "x" and abs(row.clipped - outside) <= 1 and outside > 10


def test_command_line_on_a_quantized_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = tmp_path / "q.onnx", tmp_path / "x.npz"
    onnx.save(quantized(overflowing()).to_onnx(), model)
    np.savez(data, x=np.full((2, TAPS), 127, np.int8))
    files = ("--json", tmp_path / "r.json", "--html", tmp_path / "r.html")
    code, out, _ = run_cli(capsys, "audit", model, "--overflow", "--data", data, *files)
    assert code == 0
    assert "2 sums left their accumulator; 1 of 1 limited accumulators can overflow" in out and "channel 0" in out
    overflow = json.loads((tmp_path / "r.json").read_text())["audit"]["overflow"]
    assert overflow["overflowed"] == 2 and overflow["least_headroom"] == -1
    assert "Overflow and headroom" in (tmp_path / "r.html").read_text()
    np.savez(data, x=np.full((1, TAPS), 0.5, np.float32))
    code, _, err = run_cli(capsys, "audit", model, "--overflow", "--data", data)
    assert code == 4 and "int8 codes" in err
    csv = tmp_path / "c.csv"
    for arguments, text in (
        (("--data", data), "--overflow"),
        (("--overflow",), "--data"),
        (("--data", data, "--channels-csv", csv), "--overflow"),
        (("--data", data, "--overflow", "--samples-csv", csv), "--overflow audit only"),
    ):
        code, _, err = run_cli(capsys, "audit", model, *arguments)
        assert code == 2 and text in err and len(err.strip().splitlines()) == 1


def test_command_line_on_a_context_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = api.load_float(three_convolutions(tmp_path))
    data = pictures(2)
    api.compile(graph, "bm1684", tmp_path / "out", table=table_of(graph, data), reference=data[0].feeds)
    code, out, _ = run_cli(capsys, "audit", tmp_path / "out", "--overflow")
    assert code == 0 and "conv1" in out and "overflow audit of 1 samples" in out
