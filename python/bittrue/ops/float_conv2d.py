"""FloatConv2d: convolution in binary32 in the order of a device."""

from collections.abc import Sequence

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, convolve, fused_relu, pad_planes, window_size
from bittrue.ops.registry import Array, op


@op("FloatConv2d", *MODE, "strides", "pads", "dilations", "group", "order", "relu", "relu_max")
def float_conv2d(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    x, w, bias = (None if v is None else mode.read(v) for v in (*inputs, None)[:3])
    assert x is not None and w is not None
    strides, dilations = node.attrs.get("strides", [1, 1]), node.attrs.get("dilations", [1, 1])
    top, left = node.attrs.get("pads", [0, 0, 0, 0])[:2]
    out = (outputs[0].shape[2], outputs[0].shape[3])
    size = window_size(out, w.shape[2:], strides, dilations)
    planes = pad_planes(x, (top, left), size)
    return [mode.read(fused_relu(convolve(planes, w, bias, out, strides, dilations, node.attrs), node.attrs))]
