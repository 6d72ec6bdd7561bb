"""MaxPool2d and AvgPool2d of integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import INT_RANGES, output_stage
from bittrue.ops.convolution import WINDOW, windows
from bittrue.ops.registry import STAGE, Array, op


@op("MaxPool2d", "kernel", *WINDOW, *STAGE)
def max_pool2d(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x = inputs[0]
    assert x is not None
    lowest = INT_RANGES[x.dtype.name][0]
    view = windows(x.astype(np.int64), node.attrs["kernel"], node.attrs, outputs[0].shape[2:], lowest)
    return [output_stage(view.max((-2, -1)), node.attrs, outputs[0].dtype)]


@op("AvgPool2d", "kernel", *WINDOW, "x_zero_point", "count_include_pad", *STAGE)
def avg_pool2d(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x = inputs[0]
    assert x is not None
    kernel, out_hw = node.attrs["kernel"], outputs[0].shape[2:]
    x = x.astype(np.int64) - node.attrs.get("x_zero_point", 0)
    sums = windows(x, kernel, node.attrs, out_hw, 0).sum((-2, -1))
    divisor = np.full(sums.shape, kernel[0] * kernel[1], np.int64)
    if not node.attrs.get("count_include_pad", 1):
        valid = windows(np.ones((1, 1, *x.shape[2:]), np.int64), kernel, node.attrs, out_hw, 0).sum((-2, -1))
        divisor = np.broadcast_to(np.where(valid > 0, valid, divisor[:1, :1]), sums.shape)
    return [output_stage(sums, node.attrs, outputs[0].dtype, divisor=divisor)]
