"""FloatAvgPool2d: mean over a window in binary32."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, fused_relu, pad_planes, reciprocal_count, tap, window_size
from bittrue.ops.registry import Array, op


@op("FloatAvgPool2d", *MODE, "kernel", "strides", "pads", "dilations", "count_include_pad", "order", "relu")
def float_avg_pool2d(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    steps = mode.steps
    x = mode.read(inputs[0])
    kernel, strides = node.attrs["kernel"], node.attrs.get("strides", [1, 1])
    dilations = node.attrs.get("dilations", [1, 1])
    top, left = node.attrs.get("pads", [0, 0, 0, 0])[:2]
    out = (outputs[0].shape[2], outputs[0].shape[3])
    size = window_size(out, kernel, strides, dilations)
    planes = pad_planes(x, (top, left), size)
    if node.attrs.get("count_include_pad", 1):
        factor = reciprocal_count(kernel[0] * kernel[1])
    else:
        inside = pad_planes(np.ones((1, 1, *x.shape[2:]), np.float32), (top, left), size)
        n = sum(tap(inside, ky, kx, out, strides, dilations) for ky, kx in np.ndindex(*kernel))
        factor = reciprocal_count(np.maximum(n, 1))
    alternate = {"plain": False, "alternate": True}[node.attrs.get("order", "plain")]
    sums = [np.zeros(outputs[0].shape, np.float32) for _ in range(2)]
    for step, (ky, kx) in enumerate(np.ndindex(*kernel)):
        term = tap(planes, ky, kx, out, strides, dilations)
        lane = step % 2 if alternate else 0
        sums[lane] = steps.add(sums[lane], steps.mul(term, factor) if alternate else term)
    y = steps.add(sums[0], sums[1]) if alternate else steps.mul(sums[0], factor)
    return [mode.read(fused_relu(y, node.attrs))]
