"""Lookup, LookupInterpolated, SoftmaxTable, SoftmaxFixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import INT_RANGES, high_multiply, round_real, shift_right
from bittrue.ops.registry import Array, op


@op("Lookup")
def lookup(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x, table = inputs
    assert x is not None and table is not None
    return [table.ravel()[x.view(np.uint8)]]


@op("LookupInterpolated")
def lookup_interpolated(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x, table = inputs
    assert x is not None and table is not None
    t = table.astype(np.int64).ravel()
    v = x.astype(np.int64)
    entry = 256 + v // 128
    y = t[entry] + shift_right((t[entry + 1] - t[entry]) * (v % 128), 7, "half_up")
    return [np.clip(y, -32768, 32767)]


@op("SoftmaxTable", "axis", "output_scale", "rounding", "zero_point", "clamp_min", "clamp_max")
def softmax_table(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x, table = inputs
    assert x is not None and table is not None
    axis = node.attrs.get("axis", 1)
    v = np.moveaxis(x.astype(np.int64), axis, 0)
    e = table.ravel().astype(np.float32)[np.clip(v.max(0) - v, 0, 255)]
    total = np.zeros(e.shape[1:], np.float32)
    for channel in e:
        total = total + channel
    ratio = e / (total * np.float32(node.attrs.get("output_scale", 1.0)))
    y = round_real(ratio, node.attrs.get("rounding", "half_away")) + node.attrs.get("zero_point", 0)
    lo, hi = INT_RANGES[outputs[0].dtype]
    return [np.moveaxis(np.clip(y, node.attrs.get("clamp_min", lo), node.attrs.get("clamp_max", hi)), 0, axis)]


def _fixed_reciprocal(d: Array) -> Array:
    """2^61 / d, nearly, of d in [2^31, 2^32)."""
    half = d >> 1
    x = 1515870810 + high_multiply(half, -1010580540)
    for _ in range(3):
        x = x + np.clip(high_multiply(x, (1 << 29) - high_multiply(half, x)) << 2, -(2**31), 2**31 - 1)
    return np.clip(x << 1, -(2**31), 2**31 - 1)


@op("SoftmaxFixed", "axis")
def softmax_fixed(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x, table = inputs
    assert x is not None and table is not None
    axis = node.attrs.get("axis", 1)
    v = np.moveaxis(x.astype(np.int64), axis, 0)
    e = np.maximum(table.ravel().astype(np.int64), 0)[np.clip(v.max(0) - v, 0, 255)]
    total = np.maximum(shift_right(e, 12, "half_away").sum(0), 1)
    zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    product = high_multiply(_fixed_reciprocal(total << zeros), e)
    lo, hi = INT_RANGES[outputs[0].dtype]
    shift = 43 - zeros - (8 if hi - lo == 255 else 16)
    # A negative shift is one to the left. Elements of one result have different shifts: rounding half away by hand.
    half = np.where(shift > 0, np.left_shift(np.int64(1), np.maximum(shift - 1, 0)), 0)
    magnitude = np.abs(product) + half
    scaled = np.where(shift > 0, magnitude >> np.maximum(shift, 0), magnitude << np.maximum(-shift, 0))
    return [np.moveaxis(np.clip(np.sign(product) * scaled + lo, lo, hi), 0, axis)]
