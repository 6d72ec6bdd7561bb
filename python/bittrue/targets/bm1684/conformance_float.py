"""Float layers and conversions of recorded BM1684 cases as one-node graphs.

`CASES` maps the folder of a layer to a function that takes the arrays of one case and returns the graph, its feeds and
the name of the output to compare with `y` by bit pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bittrue.graph.ir import Graph, Node, TensorType

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
Case = tuple[Graph, dict[str, Array], str]


def _integers(value: Array) -> list[int]:
    return [int(v) for v in np.atleast_1d(value)]


def _pads(case: Arrays) -> list[int]:
    top, bottom, left, right = _integers(case["pads"])
    return [top, left, bottom, right]


def _flag(case: Arrays, name: str) -> int:
    return int(case[name]) if name in case else 0


def _graph(op: str, case: Arrays, attrs: dict[str, Any], constants: Mapping[str, Array] | None = None) -> Case:
    """A graph of one node: x, then the constants, give y."""
    x, y = case["x"], case["y"]
    graph = Graph(op, inputs=["x"], outputs=["y"])
    graph.types["x"] = TensorType(x.dtype.name, tuple(x.shape))
    names = [graph.add_constant(name, np.ascontiguousarray(value)) for name, value in (constants or {}).items()]
    graph.types["y"] = TensorType(y.dtype.name, tuple(y.shape))
    graph.nodes.append(Node(op, op, ["x", *names], ["y"], {**attrs, "evidence": "measured"}, "bittrue"))
    return graph, {"x": x}, "y"


def _weights(case: Arrays) -> dict[str, Array]:
    return {"w": case["w"]} | ({"bias": case["bias"]} if _flag(case, "has_bias") else {})


def _convolution(case: Arrays, order: str, group: int) -> Case:
    attrs = {
        "strides": _integers(case["stride"]),
        "pads": _pads(case),
        "dilations": _integers(case["dilation"]) if "dilation" in case else [1, 1],
        "group": group,
        "order": order,
        "relu": _flag(case, "relu"),
        "flush": 1,
    }
    return _graph("FloatConv2d", case, attrs, _weights(case))


def _conv2d(case: Arrays) -> Case:
    return _convolution(case, "pairs", int(case["groups"]) if "groups" in case else 1)


def _depthwise(case: Arrays) -> Case:
    return _convolution(case, "alternate", int(case["x"].shape[1]))


def _fully_connected(case: Arrays) -> Case:
    attrs = {"order": "alternate", "relu": _flag(case, "relu"), "flush": 1}
    return _graph("FloatMatMul", case, attrs, _weights(case))


def _window(case: Arrays) -> dict[str, Any]:
    return {
        "kernel": _integers(case["kernel"]),
        "strides": _integers(case["stride"]),
        "pads": _pads(case),
        "relu": _flag(case, "relu"),
        "flush": 1,
    }


def _average_pool(case: Arrays) -> Case:
    counted = int(case["count_include_pad"]) if "count_include_pad" in case else 1
    return _graph("FloatAvgPool2d", case, {**_window(case), "count_include_pad": counted, "order": "alternate"})


def _max_pool(case: Arrays) -> Case:
    return _graph("FloatMaxPool2d", case, _window(case))


def _softmax(case: Arrays) -> Case:
    axis = int(case["axis"]) if "axis" in case else 1
    return _graph("FloatSoftmax", case, {"axis": axis, "functions": "bm1684", "flush": 1})


def _function(kind: str) -> Callable[[Arrays], Case]:
    return lambda case: _graph("FloatUnary", case, {"kind": kind, "functions": "bm1684", "flush": 1})


def _quantize(case: Arrays) -> Case:
    return _graph("Quantize", case, {"scale": [1.0], "rounding": "add_half_trunc", "flush": 1})


def _dequantize(case: Arrays) -> Case:
    scale = float(case["scale"]) if "scale" in case else 1.0
    return _graph("Dequantize", case, {"scale": [scale], "flush": 1})


CASES: dict[str, Callable[[Arrays], Case]] = {
    "conv2d_fp32": _conv2d,
    "depthwise_fp32": _depthwise,
    "fc_fp32": _fully_connected,
    "avgpool_fp32": _average_pool,
    "maxpool_fp32": _max_pool,
    "softmax_fp32": _softmax,
    "sigmoid_fp32": _function("sigmoid"),
    "tanh_fp32": _function("tanh"),
    "exp_fp32": _function("exp"),
    "elu_fp32": _function("elu"),
    "fp32_to_int8": _quantize,
    "int8_to_fp32": _dequantize,
}
