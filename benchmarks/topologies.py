"""The topologies of seven well-known networks. Detectors end with the raw maps of their heads; decoding, and the L2
normalization of SSD, which the integer engines leave to float, stay out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import onnx

from benchmarks.net import Net

SSD_CLASSES = 21
YOLO_OUTPUTS = 3 * (80 + 5)
Activation = Callable[[str], str]


def _resnet_stem(net: Net) -> str:
    return net.max_pool(net.relu(net.conv("input", 64, 7, 2)), 3, 2)


def resnet18(net: Net) -> list[str]:
    x = _resnet_stem(net)
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = net.conv(net.relu(net.conv(x, width, 3, stride)), width, 3, gain=1.0)
            shortcut = net.conv(x, width, 1, stride, gain=1.0) if stride == 2 else x
            x = net.relu(net.add(y, shortcut))
    return [net.classifier(x)]


def resnet50(net: Net) -> list[str]:
    x = _resnet_stem(net)
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = net.relu(net.conv(x, width, 1))
            y = net.conv(net.relu(net.conv(y, width, 3, stride)), 4 * width, 1, gain=1.0)
            shortcut = x if block else net.conv(x, 4 * width, 1, stride, gain=1.0)
            x = net.relu(net.add(y, shortcut))
    return [net.classifier(x)]


def mobilenet_v1(net: Net) -> list[str]:
    x = net.relu6(net.conv("input", 32, 3, 2))
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for width, stride in plan:
        channels = net.shapes[x][1]
        x = net.relu6(net.conv(x, channels, 3, stride, group=channels))
        x = net.relu6(net.conv(x, width, 1))
    return [net.classifier(x)]


def mobilenet_v2(net: Net) -> list[str]:
    x = net.relu6(net.conv("input", 32, 3, 2))
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, width, repeats, first_stride in plan:
        for repeat in range(repeats):
            stride, channels = (1 if repeat else first_stride), net.shapes[x][1]
            y = x if expansion == 1 else net.relu6(net.conv(x, channels * expansion, 1))
            y = net.relu6(net.conv(y, channels * expansion, 3, stride, group=channels * expansion))
            y = net.conv(y, width, 1, gain=1.0)
            x = net.add(x, y) if stride == 1 and channels == width else y
    return [net.classifier(net.relu6(net.conv(x, 1280, 1)))]


def vgg16_ssd(net: Net) -> list[str]:
    """SSD300 as published, with 21 classes: 8732 boxes. Source: Liu et al., 2016."""

    def conv(x: str, width: int, kernel: int, stride: int = 1, dilation: int = 1, padded: bool = True) -> str:
        return net.relu(net.conv(x, width, kernel, stride, dilation=dilation, padded=padded))

    x, sources = "input", []
    for stage, (width, layers) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        for _ in range(layers):
            x = conv(x, width, 3)
        if stage == 3:
            sources.append(x)
        x = net.max_pool(x, 2, 2) if stage < 4 else net.max_pool(x, 3, 1)
    sources.append(x := conv(conv(x, 1024, 3, dilation=6), 1024, 1))
    for squeezed, width, stride in ((256, 512, 2), (128, 256, 2), (128, 256, 1), (128, 256, 1)):
        sources.append(x := conv(conv(x, squeezed, 1), width, 3, stride, padded=stride == 2))
    heads = []
    for source, boxes in zip(sources, (4, 6, 6, 6, 4, 4), strict=True):
        heads += [net.conv(source, boxes * values, 3, gain=1.0) for values in (4, SSD_CLASSES)]
    return heads


def yolov5s(net: Net, activation: str) -> list[str]:
    """YOLOv5s 6.0 with 80 classes. Source: ultralytics/yolov5, models/yolov5s.yaml."""
    act: Activation = net.silu if activation == "silu" else net.relu

    def conv(x: str, width: int, kernel: int, stride: int = 1) -> str:
        return act(net.conv(x, width, kernel, stride))

    def c3(x: str, width: int, repeats: int, shortcut: bool = True) -> str:
        y = conv(x, width // 2, 1)
        for _ in range(repeats):
            z = conv(conv(y, width // 2, 1), width // 2, 3)
            y = net.add(y, z) if shortcut else z
        return conv(net.concat(y, conv(x, width // 2, 1)), width, 1)

    x, levels = conv("input", 32, 6, 2), []
    for width, repeats in ((64, 1), (128, 2), (256, 3), (512, 1)):
        levels.append(x := c3(conv(x, width, 3, 2), width, repeats))
    pooled = [conv(x, 256, 1)]
    for _ in range(3):
        pooled.append(net.max_pool(pooled[-1], 5, 1))
    x = conv(net.concat(*pooled), 512, 1)

    top = conv(x, 256, 1)
    middle = conv(c3(net.concat(net.upsample(top), levels[2]), 256, 1, shortcut=False), 128, 1)
    small = c3(net.concat(net.upsample(middle), levels[1]), 128, 1, shortcut=False)
    medium = c3(net.concat(conv(small, 128, 3, 2), middle), 256, 1, shortcut=False)
    large = c3(net.concat(conv(medium, 256, 3, 2), top), 512, 1, shortcut=False)
    return [net.conv(level, YOLO_OUTPUTS, 1, gain=1.0) for level in (small, medium, large)]


@dataclass(frozen=True)
class Topology:
    """draw: adds the nodes and returns the outputs. size: height and width of the picture."""

    draw: Callable[[Net], list[str]]
    size: int = 224


NETWORKS = {
    "resnet50": Topology(resnet50),
    "resnet18": Topology(resnet18),
    "mobilenet_v1": Topology(mobilenet_v1),
    "mobilenet_v2": Topology(mobilenet_v2),
    "vgg16_ssd300": Topology(vgg16_ssd, 300),
    "yolov5s_silu": Topology(partial(yolov5s, activation="silu"), 640),
    "yolov5s_relu": Topology(partial(yolov5s, activation="relu"), 640),
}


def build(topology: Topology) -> tuple[onnx.ModelProto, int]:
    """The model and the multiplications of one inference."""
    net = Net(topology.size, topology.size)
    outputs = topology.draw(net)
    return net.model(outputs), net.macs
