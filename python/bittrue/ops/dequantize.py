"""Dequantize: integers to float32."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import Steps, flush_subnormal
from bittrue.ops.quantize import per_channel
from bittrue.ops.registry import Array, op


@op("Dequantize", "scale", "axis", "zero_point", "flush")
def dequantize(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    flush = bool(node.attrs.get("flush", 0))
    x = np.asarray(inputs[0]).astype(np.int64)
    axis = node.attrs.get("axis", 1)
    scale = per_channel(node.attrs.get("scale", [1.0]), np.float32, x.ndim, axis)
    zero_point = per_channel(node.attrs.get("zero_point", 0), np.int64, x.ndim, axis)
    return [Steps(flush).mul((x - zero_point).astype(np.float32), flush_subnormal(scale) if flush else scale)]
