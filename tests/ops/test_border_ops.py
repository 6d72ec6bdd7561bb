"""Conversions between float32 and integers: the C++ core equals the numpy model."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.float_node import floats, kinds, run_node, seeds

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
fast = settings(max_examples=80, deadline=None)
ROUNDINGS = ["half_up", "half_down", "half_away", "half_even", "floor", "ceil", "toward_zero", "add_half_trunc"]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "int64"]
flags = st.sampled_from([0, 1])


@fast
@given(
    st.sampled_from(["int8", "uint8", "int16", "uint16", "int32"]),
    st.sampled_from(ROUNDINGS),
    st.sampled_from(["multiply", "divide"]),
    st.sampled_from(["one", 0, 1, -1]),
    flags,
    kinds,
    seeds,
)
def test_quantize(dtype: str, rounding: str, scale_op: str, axis: Any, flush: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = floats(rng, (3, 4, 5), kind)
    x[rng.random(x.shape) < 0.3] = np.float32(rng.integers(-20, 20) + 0.5)
    n = 1 if axis == "one" else x.shape[axis]
    scale = [float(s) for s in rng.choice(np.array([1.0, 0.5, 37.25, 1e-3, 1e-39], np.float32), n)]
    attrs: dict[str, Any] = {"scale": scale, "rounding": rounding, "scale_op": scale_op, "flush": flush}
    attrs["zero_point"] = rng.integers(-3, 4, n).tolist() if n > 1 else int(rng.integers(-3, 4))
    if n > 1:
        attrs["axis"] = axis
    if rng.random() < 0.5:
        attrs |= {"clamp_min": 0, "clamp_max": 100}
    run_node("Quantize", [x], [(dtype, x.shape)], attrs)


def test_quantize_as_bm1684() -> None:
    x = np.array([0.49999997, -0.49999997, 0.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e-45], np.float32)
    y = run_node("Quantize", [x], [("int8", x.shape)], {"rounding": "add_half_trunc", "flush": 1})[0]
    assert y.tolist() == [1, -1, 1, 3, -3, 127, -128, -128, 0]


@fast
@given(st.sampled_from([*INTEGERS, "bool"]), st.sampled_from(["one", 0, 2, -1]), flags, seeds)
def test_dequantize(dtype: str, axis: Any, flush: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        x = rng.integers(0, 2, (3, 4, 5)).astype(bool)
    else:
        limits = np.iinfo(dtype)
        x = rng.integers(limits.min // 2, limits.max // 2, (3, 4, 5), dtype=dtype)
    n = 1 if axis == "one" else x.shape[axis]
    scale = [float(s) for s in rng.choice(np.array([1.0, 0.5, 37.25, 1e-3, 1e-39, 1.2e-38], np.float32), n)]
    attrs: dict[str, Any] = {"scale": scale, "flush": flush, "zero_point": int(rng.integers(-3, 4))}
    run_node("Dequantize", [x], [("float32", x.shape)], attrs | ({"axis": axis} if n > 1 else {}))


@fast
@given(st.sampled_from([*INTEGERS, "bool", "float32"]), st.sampled_from([*INTEGERS, "bool", "float32"]), kinds, seeds)
def test_cast(source: str, target: str, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = floats(rng, (64,), kind)
    if source != "float32":
        x = rng.integers(-(2**63), 2**63 - 1, 64, dtype=np.int64).astype(source)
    run_node("Cast", [x], [(target, x.shape)], {})


def test_cast_of_special_values() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 2.9, -2.9, 3e9, -3e9, 300.0], np.float32)
    top, bottom = 2**31 - 1, -(2**31)
    assert run_node("Cast", [x], [("int32", x.shape)], {})[0].tolist() == [top, top, bottom, 2, -2, top, bottom, 300]
    assert run_node("Cast", [x], [("uint8", x.shape)], {})[0].tolist() == [255, 255, 0, 2, 0, 255, 0, 255]
