"""FloatConvTranspose2d: the zero-inserted input convolved with the flipped kernel, in binary32."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, convolve, fused_relu, pad_planes, window_size
from bittrue.ops.registry import Array, op


@op(
    "FloatConvTranspose2d",
    *MODE,
    "strides",
    "pads",
    "dilations",
    "group",
    "order",
    "relu",
    "relu_max",
    "output_padding",
)
def float_conv_transpose2d(
    node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]
) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    x, w, bias = (None if v is None else mode.read(v) for v in (*inputs, None)[:3])
    assert x is not None and w is not None
    strides, dilations = node.attrs.get("strides", [1, 1]), node.attrs.get("dilations", [1, 1])
    top, left = node.attrs.get("pads", [0, 0, 0, 0])[:2]
    group = node.attrs.get("group", 1)
    out = (outputs[0].shape[2], outputs[0].shape[3])
    N, C, H, W = x.shape
    KH, KW = w.shape[2:]
    spread = np.zeros((N, C, (H - 1) * strides[0] + 1, (W - 1) * strides[1] + 1), np.float32)
    spread[:, :, :: strides[0], :: strides[1]] = x
    flipped = w[:, :, ::-1, ::-1].reshape(group, C // group, w.shape[1], KH, KW)
    kernel = flipped.transpose(0, 2, 1, 3, 4).reshape(group * w.shape[1], C // group, KH, KW)
    pads = (dilations[0] * (KH - 1) - top, dilations[1] * (KW - 1) - left)
    size = window_size(out, (KH, KW), (1, 1), dilations)
    planes = pad_planes(spread, pads, size)
    return [mode.read(fused_relu(convolve(planes, kernel, bias, out, (1, 1), dilations, node.attrs), node.attrs))]
