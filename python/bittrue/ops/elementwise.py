"""Integer element-wise ops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import INT_RANGES, input_stage, output_stage, shift_right, wrap
from bittrue.ops.registry import INPUT_STAGE, STAGE, Array, op

NEGATIVE = tuple(f"negative_{key}" for key in ("requant", "multiplier", "shift", "scale", "rounding", "high_rounding"))


def _staged(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    return [input_stage(x, i, node.attrs) for i, x in enumerate(inputs) if x is not None]


@op("Add", *INPUT_STAGE, "signs", "saturate_each", "intermediate_min", "intermediate_max", *STAGE)
def add(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    staged = _staged(node, inputs)
    signs = node.attrs.get("signs", [1])
    total: Array = np.zeros((), np.int64)
    for i, p in enumerate(staged):
        total = total + (signs[i] if len(signs) > 1 else signs[0]) * p
        if node.attrs.get("saturate_each", 0) and 0 < i < len(staged) - 1:
            lo, hi = node.attrs.get("intermediate_min"), node.attrs.get("intermediate_max")
            if lo is not None or hi is not None:
                total = np.clip(total, lo, hi)
    return [output_stage(total, node.attrs, outputs[0].dtype)]


@op("Minimum", *INPUT_STAGE, *STAGE)
def minimum(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    best, *others = _staged(node, inputs)
    for p in others:
        best = np.minimum(best, p)
    return [output_stage(best, node.attrs, outputs[0].dtype)]


@op("Maximum", *INPUT_STAGE, *STAGE)
def maximum(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    best, *others = _staged(node, inputs)
    for p in others:
        best = np.maximum(best, p)
    return [output_stage(best, node.attrs, outputs[0].dtype)]


@op("Mul", "a_zero_point", "b_zero_point", *STAGE)
def mul(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    a, b = inputs
    assert a is not None and b is not None
    a = a.astype(np.int64) - node.attrs.get("a_zero_point", 0)
    b = b.astype(np.int64) - node.attrs.get("b_zero_point", 0)
    return [output_stage(a * b, node.attrs, outputs[0].dtype)]


@op("Clip", *STAGE)
def clip(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x = inputs[0]
    assert x is not None
    return [output_stage(x.astype(np.int64), node.attrs, outputs[0].dtype)]


@op("Requantize", "x_zero_point", "axis", *STAGE)
def requantize_op(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x = inputs[0]
    assert x is not None
    v = x.astype(np.int64) - node.attrs.get("x_zero_point", 0)
    return [output_stage(v, node.attrs, outputs[0].dtype, axis=node.attrs.get("axis", 1))]


@op("Prelu", "x_zero_point", *NEGATIVE, *STAGE)
def prelu(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x, slope = inputs
    assert x is not None and slope is not None
    v = x.astype(np.int64) - node.attrs.get("x_zero_point", 0)
    slopes = slope.astype(np.int64).ravel()
    if slopes.size > 1:
        slopes = slopes.reshape(-1, *[1] * (v.ndim - 2))
    dtype = outputs[0].dtype
    negative = output_stage(v * slopes, node.attrs, dtype, prefix="negative_")
    return [np.where(v > 0, output_stage(v, node.attrs, dtype), negative)]


@op(
    "ChannelScale",
    "intermediate_min",
    "intermediate_max",
    "shift",
    "rounding",
    "wrap_bits",
    "wrap_unsigned",
    "clamp_min",
    "clamp_max",
)
def channel_scale(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x, scale, bias = inputs
    assert x is not None and scale is not None and bias is not None
    attrs = node.attrs
    channels = (-1, *[1] * (x.ndim - 2))
    t = x.astype(np.int64) * scale.astype(np.int64).reshape(channels) + bias.astype(np.int64).reshape(channels)
    t = np.clip(t, attrs.get("intermediate_min", -(2**31)), attrs.get("intermediate_max", 2**31 - 1))
    shift = np.asarray(attrs.get("shift", [0]), np.int64)
    shift = shift.reshape(channels) if shift.size > 1 else shift.reshape(())
    right = shift_right(t, np.maximum(shift, 0), attrs.get("rounding", "floor"))
    bits = attrs.get("wrap_bits", 16)
    left = t << np.maximum(-shift, 0)
    left = left % (1 << bits) if attrs.get("wrap_unsigned", 0) else wrap(left, bits)
    lo, hi = INT_RANGES[outputs[0].dtype]
    return [np.clip(np.where(shift >= 0, right, left), attrs.get("clamp_min", lo), attrs.get("clamp_max", hi))]
