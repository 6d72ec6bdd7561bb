"""FloatMaxPool2d: running maximum over a window in row-major order."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, fused_relu, maximum, pad_planes, tap, window_size
from bittrue.ops.registry import Array, op


@op("FloatMaxPool2d", *MODE, "kernel", "strides", "pads", "dilations", "relu")
def float_max_pool2d(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    x = mode.read(inputs[0])
    kernel, strides = node.attrs["kernel"], node.attrs.get("strides", [1, 1])
    dilations = node.attrs.get("dilations", [1, 1])
    top, left = node.attrs.get("pads", [0, 0, 0, 0])[:2]
    out = (outputs[0].shape[2], outputs[0].shape[3])
    size = window_size(out, kernel, strides, dilations)
    planes = pad_planes(x, (top, left), size)
    inside = pad_planes(np.ones(x.shape, np.float32), (top, left), size)
    m = np.full(outputs[0].shape, -np.inf, np.float32)
    for ky, kx in np.ndindex(*kernel):
        valid = tap(inside, ky, kx, out, strides, dilations) == 1
        m = np.where(valid, maximum(m, tap(planes, ky, kx, out, strides, dilations)), m)
    return [mode.read(fused_relu(m, node.attrs))]
