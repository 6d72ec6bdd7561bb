"""Quantize: float32 to integers."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import INT_RANGES, round_real
from bittrue.ops.floats import Steps, flush_subnormal
from bittrue.ops.registry import Array, op


def per_channel(values: object, dtype: type, ndim: int, axis: int) -> Array:
    """One value, or one per channel shaped to broadcast along `axis`."""
    a: Array = np.asarray(values, dtype).reshape(-1)
    if a.size == 1:
        return a.reshape(())
    shape = [1] * ndim
    shape[axis] = a.size
    return a.reshape(shape)


@op("Quantize", "scale", "axis", "scale_op", "rounding", "zero_point", "clamp_min", "clamp_max", "flush")
def quantize(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    flush = bool(node.attrs.get("flush", 0))
    x = np.asarray(inputs[0], np.float32)
    axis = node.attrs.get("axis", 1)
    scale = per_channel(node.attrs.get("scale", [1.0]), np.float32, x.ndim, axis)
    zero_point = per_channel(node.attrs.get("zero_point", 0), np.int64, x.ndim, axis)
    if flush:
        x, scale = flush_subnormal(x), flush_subnormal(scale)
    steps = Steps(flush)
    v = {"multiply": steps.mul, "divide": steps.div}[node.attrs.get("scale_op", "multiply")](x, scale)
    lo, hi = INT_RANGES[outputs[0].dtype]
    with np.errstate(all="ignore"):
        q = round_real(v, node.attrs.get("rounding", "half_even")) + zero_point
    return [np.clip(q, node.attrs.get("clamp_min", lo), node.attrs.get("clamp_max", hi))]
