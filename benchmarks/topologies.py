"""The topologies of well-known networks as ONNX models with random weights; batch norms are folded into the
convolutions, as every deployment does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 1000
IMAGE = (1, 3, 224, 224)


class Net:
    """Writes nodes one after the other and counts the multiplications of the convolutions and matrix products."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"input": IMAGE}
        self.macs = 0

    def _add(self, op: str, inputs: list[str], shape: tuple[int, ...], **attrs: object) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attrs))
        self.shapes[name] = shape
        return name

    def _weight(self, value: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def conv(self, x: str, oc: int, kernel: int, stride: int = 1, group: int = 1, gain: float = 2.0) -> str:
        _, ic, h, w = self.shapes[x]
        pad = kernel // 2
        oh, ow = (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1
        fan_in = ic // group * kernel * kernel
        weight = self.rng.normal(0, np.sqrt(gain / fan_in), (oc, ic // group, kernel, kernel))
        inputs = [x, self._weight(weight), self._weight(self.rng.normal(0, 0.05, oc))]
        self.macs += oc * oh * ow * fan_in
        attrs = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "group": group}
        return self._add("Conv", inputs, (1, oc, oh, ow), **attrs)

    def relu(self, x: str) -> str:
        return self._add("Relu", [x], self.shapes[x])

    def relu6(self, x: str) -> str:
        limits = [self._weight(np.array(v)) for v in (0.0, 6.0)]
        return self._add("Clip", [x, *limits], self.shapes[x])

    def add(self, a: str, b: str) -> str:
        return self._add("Add", [a, b], self.shapes[a])

    def max_pool(self, x: str, kernel: int, stride: int) -> str:
        _, c, h, w = self.shapes[x]
        pad = kernel // 2
        shape = (1, c, (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1)
        return self._add("MaxPool", [x], shape, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def classifier(self, x: str) -> str:
        channels = self.shapes[x][1]
        x = self._add("GlobalAveragePool", [x], (1, channels, 1, 1))
        x = self._add("Flatten", [x], (1, channels), axis=1)
        weight = self._weight(self.rng.normal(0, np.sqrt(1 / channels), (channels, CLASSES)))
        self.macs += channels * CLASSES
        inputs = [x, weight, self._weight(self.rng.normal(0, 0.05, CLASSES))]
        return self._add("Gemm", inputs, (1, CLASSES))

    def model(self, output: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, IMAGE)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, self.shapes[output])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _resnet_stem(net: Net) -> str:
    return net.max_pool(net.relu(net.conv("input", 64, 7, 2)), 3, 2)


def resnet18(net: Net) -> str:
    x = _resnet_stem(net)
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = net.conv(net.relu(net.conv(x, width, 3, stride)), width, 3, gain=1.0)
            shortcut = net.conv(x, width, 1, stride, gain=1.0) if stride == 2 else x
            x = net.relu(net.add(y, shortcut))
    return net.classifier(x)


def resnet50(net: Net) -> str:
    x = _resnet_stem(net)
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = net.relu(net.conv(x, width, 1))
            y = net.conv(net.relu(net.conv(y, width, 3, stride)), 4 * width, 1, gain=1.0)
            shortcut = x if block else net.conv(x, 4 * width, 1, stride, gain=1.0)
            x = net.relu(net.add(y, shortcut))
    return net.classifier(x)


def mobilenet_v1(net: Net) -> str:
    x = net.relu6(net.conv("input", 32, 3, 2))
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for width, stride in plan:
        channels = net.shapes[x][1]
        x = net.relu6(net.conv(x, channels, 3, stride, group=channels))
        x = net.relu6(net.conv(x, width, 1))
    return net.classifier(x)


def mobilenet_v2(net: Net) -> str:
    x = net.relu6(net.conv("input", 32, 3, 2))
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, width, repeats, first_stride in plan:
        for repeat in range(repeats):
            stride, channels = (1 if repeat else first_stride), net.shapes[x][1]
            y = x if expansion == 1 else net.relu6(net.conv(x, channels * expansion, 1))
            y = net.relu6(net.conv(y, channels * expansion, 3, stride, group=channels * expansion))
            y = net.conv(y, width, 1, gain=1.0)
            x = net.add(x, y) if stride == 1 and channels == width else y
    return net.classifier(net.relu6(net.conv(x, 1280, 1)))


NETWORKS: dict[str, Callable[[Net], str]] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
}


def build(name: str) -> tuple[onnx.ModelProto, int]:
    """The model and the multiplications of one inference."""
    net = Net()
    output = NETWORKS[name](net)
    return net.model(output), net.macs
