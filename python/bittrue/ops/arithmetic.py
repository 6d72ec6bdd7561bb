"""numpy twin of csrc/arith, written independently: rounding, accumulators, requantization, the output stage.

All functions work on int64 arrays and fall back to Python integers where a product could leave 64 bits, so results are
exact for every attribute the C++ core accepts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[Any]

INT_RANGES: dict[str, tuple[int, int]] = {
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "bool": (0, 1),
}


def divide_round(v: IntArray, d: Any, mode: str) -> IntArray:
    """round(v / d) for integers, d > 0 (array or int); dtype int64 or object."""
    floor_part = v // d
    fraction = v - floor_part * d
    twice = 2 * fraction
    if mode == "half_up":
        up = twice >= d
    elif mode == "half_down":
        up = twice > d
    elif mode in ("half_away", "add_half_trunc"):
        up = np.where(v < 0, twice > d, twice >= d)
    elif mode == "half_even":
        up = (twice > d) | ((twice == d) & (floor_part % 2 == 1))
    elif mode == "floor":
        up = np.zeros(np.shape(v), bool)
    elif mode == "ceil":
        up = fraction != 0
    elif mode == "toward_zero":
        up = (v < 0) & (fraction != 0)
    else:
        raise ValueError(f"unknown rounding '{mode}'")
    result: IntArray = floor_part + np.asarray(up).astype(np.int64)
    return result


def shift_right(v: IntArray, n: Any, mode: str) -> IntArray:
    """round(v / 2^n) with n an int or an array that broadcasts; negative n shifts left."""
    v = np.asarray(v)
    n = np.broadcast_to(np.asarray(n, np.int64), v.shape)
    limit = int(np.abs(v).max(initial=0)) << max(0, int((-n).max(initial=0)))
    if max(limit, 1 << min(62, max(0, int(n.max(initial=0))))) >= 2**61 and v.dtype != object:
        v = v.astype(object)
    left = np.where(n < 0, -n, 0)
    right = np.where(n > 0, n, 0)
    if v.dtype == object:
        left, right = left.astype(object), right.astype(object)
        return divide_round(v * 2**left, 2**right, mode)
    return divide_round(v << left, np.int64(1) << right, mode)


def high_multiply(a: IntArray | int, b: IntArray | int) -> IntArray:
    """round(a * b / 2^31), half up, of 32-bit integers; int64."""
    return np.asarray((np.asarray(a, np.int64) * np.asarray(b, np.int64) + (1 << 30)) >> 31)


def round_real(v: npt.NDArray[Any], mode: str) -> IntArray:
    """round(v) of float32 or float64 values to int64, saturating at +-2^62; NaN gives the lowest value."""
    v = np.asarray(v)
    if mode == "add_half_trunc":
        half = v.dtype.type(0.5)
        v = np.trunc(np.where(v > 0, v + half, v - half))
        mode = "floor"
    floor_part = np.floor(v)
    has_fraction = v != floor_part
    # v - floor(v) may round (to one half for -0.49999997), floor(v) + 0.5 is exact where v has a fraction.
    middle = floor_part + v.dtype.type(0.5)
    above, tie = has_fraction & (v > middle), has_fraction & (v == middle)
    odd = np.mod(floor_part, 2) == 1
    up = {
        "half_up": lambda: above | tie,
        "half_down": lambda: above,
        "half_away": lambda: above | (tie & (v >= 0)),
        "half_even": lambda: above | (tie & odd),
        "floor": lambda: np.zeros(v.shape, bool),
        "ceil": lambda: has_fraction,
        "toward_zero": lambda: (v < 0) & has_fraction,
    }[mode]()
    rounded = floor_part.astype(np.float64) + up
    with np.errstate(invalid="ignore"):
        limited = np.clip(rounded, -(2.0**62), 2.0**62).astype(np.int64)
    return np.where(np.isnan(v), -(2**62), limited)


def wrap(v: IntArray, bits: int) -> IntArray:
    """v modulo 2^bits read as a signed number."""
    half = 1 << (bits - 1)
    result: IntArray = (v + half) % (1 << bits) - half
    return result


def accumulate(v: IntArray, rule: str) -> IntArray:
    if rule == "exact64":
        return v
    if rule == "wrap32":
        return wrap(v, 32)
    if rule == "sat32":
        return np.clip(v, -(2**31), 2**31 - 1)
    raise ValueError(f"unknown accumulator '{rule}'")


def _spread(values: Sequence[Any], dtype: Any, ndim: int, axis: int) -> npt.NDArray[Any]:
    """One value, or one per channel shaped to broadcast along `axis` of an ndim-dimensional array."""
    a = np.asarray(values, dtype)
    if a.size == 1 or ndim == 0:
        return a.reshape(())
    shape = [1] * ndim
    shape[axis] = a.size
    return a.reshape(shape)


def _multiply(v: IntArray, m: IntArray) -> IntArray:
    if int(np.abs(v).max(initial=0)) * int(np.abs(m).max(initial=0)) >= 2**62:
        v, m = v.astype(object), m.astype(object)
    result: IntArray = v * m
    return result


def requantize(
    v: IntArray, attrs: Mapping[str, Any], axis: int = 1, prefix: str = "", divisor: Any = 1, offset: int = 0
) -> IntArray:
    """Applies the requantization rule `<prefix>requant` of the attributes; channels lie on `axis`.

    offset is added to the result before its rounding (zero point folded in before rounding).
    """
    kind = attrs.get(prefix + "requant", "none")
    rounding = attrs.get(prefix + "rounding", "half_up")
    v = np.asarray(v)
    shift = _spread(attrs.get(prefix + "shift", [0]), np.int64, v.ndim, axis)
    multiplier = _spread(attrs.get(prefix + "multiplier", [1]), np.int64, v.ndim, axis)
    if kind == "none":
        return v + offset
    if kind == "shift":
        return _shift_with_offset(v, shift, rounding, offset)
    if kind == "multiplier_shift":
        return _shift_with_offset(_multiply(v, multiplier), shift, rounding, offset)
    if kind == "double_round":
        left = shift_right(v, -np.maximum(-shift, 0), "floor")
        high = _multiply(np.clip(left, -(2**31), 2**31 - 1), multiplier)
        high = shift_right(high, 31, attrs.get(prefix + "high_rounding", "half_up"))
        return _shift_with_offset(np.clip(high, -(2**31), 2**31 - 1), np.maximum(shift, 0), rounding, offset)
    if kind == "float_scale":
        scale = _spread(attrs.get(prefix + "scale", [1.0]), np.float32, v.ndim, axis)
        scaled = v.astype(np.float32) * scale
        return round_real(scaled + np.float32(offset) if offset else scaled, rounding)
    if kind == "divide":
        return divide_round(v + offset * np.asarray(divisor), divisor, rounding)
    raise ValueError(f"unknown requantization '{kind}'")


def _shift_with_offset(v: IntArray, shift: IntArray, rounding: str, offset: int) -> IntArray:
    # An integer offset commutes with every rounding except those that look at the sign or the parity of the result.
    if not offset:
        return shift_right(v, shift, rounding)
    right = np.maximum(shift, 0).astype(object)
    moved = v.astype(object) + offset * 2**right
    return np.where(shift > 0, shift_right(moved, shift, rounding), shift_right(v, shift, rounding) + offset)


def output_stage(
    exact_sum: IntArray, attrs: Mapping[str, Any], dtype: str, axis: int = 1, divisor: Any = 1, prefix: str = ""
) -> IntArray:
    """Accumulator rule, requantization (its keys after `prefix`), zero point and clamp of docs/quantized-graph.md;
    returns values of `dtype`."""
    v = accumulate(np.asarray(exact_sum), attrs.get("acc", "exact64"))
    zero_point = int(attrs.get("zero_point", 0))
    if attrs.get("zero_point_order", "after_rounding") == "before_rounding":
        v = requantize(v, attrs, axis, divisor=divisor, offset=zero_point, prefix=prefix)
    else:
        v = requantize(v, attrs, axis, divisor=divisor, prefix=prefix) + zero_point
    lo, hi = INT_RANGES[dtype]
    return np.clip(v, attrs.get("clamp_min", lo), attrs.get("clamp_max", hi)).astype(dtype)


def input_stage(x: IntArray, index: int, attrs: Mapping[str, Any]) -> IntArray:
    """p_i of docs/quantized-graph.md for input number `index`, exact int64."""

    def pick(key: str, default: Any) -> Any:
        values = attrs.get(key, default)
        return [values[index] if len(values) > 1 else values[0]]

    zero_point = pick("input_zero_point", [0])[0]
    own = {key: attrs[key] for key in ("input_requant", "input_rounding", "input_high_rounding") if key in attrs}
    own |= {key: pick(key, attrs[key]) for key in ("input_multiplier", "input_shift", "input_scale") if key in attrs}
    v = (x.astype(np.int64) - zero_point) << int(attrs.get("left_shift", 0))
    return requantize(v, own, prefix="input_")
