"""Writes networks as ONNX models with random weights; batch norms are folded into the convolutions, as every deployment
does. Padding is TensorFlow's SAME, the odd element at the end, which all engines can express."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def same_pads(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int, int]:
    """(output size, padding before, padding after) of one axis."""
    out = -(-size // stride)
    total = max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return out, total // 2, total - total // 2


class Net:
    """Adds nodes one after the other and counts the multiplications of the convolutions and matrix products."""

    def __init__(self, height: int, width: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"input": (1, 3, height, width)}
        self.macs = 0

    def _add(self, op: str, inputs: list[str], shape: tuple[int, ...], **attrs: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attrs))
        self.shapes[name] = shape
        return name

    def _constant(self, value: np.ndarray) -> str:
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def _window(
        self, x: str, kernel: int, stride: int, dilation: int, padded: bool
    ) -> tuple[tuple[int, int], dict[str, object]]:
        """(output height and width, attributes) of a square window."""
        _, _, h, w = self.shapes[x]
        extent = (kernel - 1) * dilation + 1
        (oh, top, bottom), (ow, left, right) = (
            same_pads(n, kernel, stride, dilation) if padded else ((n - extent) // stride + 1, 0, 0) for n in (h, w)
        )
        attrs = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [top, left, bottom, right]}
        return (oh, ow), {**attrs, "dilations": [dilation] * 2}

    def conv(
        self,
        x: str,
        oc: int,
        kernel: int,
        stride: int = 1,
        *,
        group: int = 1,
        gain: float = 2.0,
        dilation: int = 1,
        padded: bool = True,
    ) -> str:
        ic = self.shapes[x][1]
        (oh, ow), attrs = self._window(x, kernel, stride, dilation, padded)
        fan_in = ic // group * kernel * kernel
        weight = self.rng.normal(0, np.sqrt(gain / fan_in), (oc, ic // group, kernel, kernel))
        inputs = [x, self._constant(weight), self._constant(self.rng.normal(0, 0.05, oc))]
        self.macs += oc * oh * ow * fan_in
        return self._add("Conv", inputs, (1, oc, oh, ow), **attrs, group=group)

    def relu(self, x: str) -> str:
        return self._add("Relu", [x], self.shapes[x])

    def relu6(self, x: str) -> str:
        limits = [self._constant(np.array(v)) for v in (0.0, 6.0)]
        return self._add("Clip", [x, *limits], self.shapes[x])

    def silu(self, x: str) -> str:
        return self._add("Mul", [x, self._add("Sigmoid", [x], self.shapes[x])], self.shapes[x])

    def add(self, a: str, b: str) -> str:
        return self._add("Add", [a, b], self.shapes[a])

    def concat(self, *parts: str) -> str:
        _, _, h, w = self.shapes[parts[0]]
        return self._add("Concat", list(parts), (1, sum(self.shapes[p][1] for p in parts), h, w), axis=1)

    def upsample(self, x: str) -> str:
        """Twice the height and width, nearest."""
        _, c, h, w = self.shapes[x]
        attrs = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        scales = self._constant(np.array([1, 1, 2, 2]))
        return self._add("Resize", [x, "", scales], (1, c, 2 * h, 2 * w), **attrs)

    def max_pool(self, x: str, kernel: int, stride: int) -> str:
        (oh, ow), attrs = self._window(x, kernel, stride, 1, padded=True)
        return self._add("MaxPool", [x], (1, self.shapes[x][1], oh, ow), **attrs)

    def classifier(self, x: str, classes: int = 1000) -> str:
        channels = self.shapes[x][1]
        x = self._add("GlobalAveragePool", [x], (1, channels, 1, 1))
        x = self._add("Flatten", [x], (1, channels), axis=1)
        weight = self._constant(self.rng.normal(0, np.sqrt(1 / channels), (channels, classes)))
        self.macs += channels * classes
        return self._add("Gemm", [x, weight, self._constant(self.rng.normal(0, 0.05, classes))], (1, classes))

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        def info(name: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name])

        graph = helper.make_graph(self.nodes, "net", [info("input")], [info(o) for o in outputs], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
