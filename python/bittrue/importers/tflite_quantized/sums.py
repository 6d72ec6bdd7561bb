"""Convolutions, fully connected layers and pools."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from bittrue.errors import UnsupportedError
from bittrue.importers.tflite_quantized.reader import Array, Importer, options
from bittrue.importers.tflite_quantized.registry import rule
from bittrue.importers.tflite_quantized.scaling import activation, doubled, product_factors, single, wide

SAME = 0


def pads(same: bool, size: int, out: int, stride: int, extent: int) -> tuple[int, int]:
    """TFLite's padding of one axis; the odd element goes to the end."""
    total = max(0, (out - 1) * stride + extent - size) if same else 0
    return total // 2, total - total // 2


def _window(m: Importer, o: Any, x: int, y: int, kernel: tuple[int, int], dilations: tuple[int, int]) -> dict[str, Any]:
    strides, same = [o.StrideH(), o.StrideW()], o.Padding() == SAME
    (top, bottom), (left, right) = (
        pads(same, m.shape(x)[1 + k], m.shape(y)[1 + k], strides[k], (kernel[k] - 1) * dilations[k] + 1) for k in (0, 1)
    )
    return {"strides": strides, "pads": [top, left, bottom, right]}


def _bias(m: Importer, x: int, rest: list[int]) -> Array | None:
    m.scales(x)  # refuses tensors that are not quantized
    if not rest or rest[0] < 0:
        return None
    bias = m.stored(rest[0], "the bias")
    if bias.dtype != (np.int64 if m.dtype(x) == "int16" else np.int32):
        raise UnsupportedError(f"the bias '{m.names[rest[0]]}' of {m.dtype(x)} sums is {bias.dtype}")
    return bias


def _with_bias(m: Importer, inputs: list[str], rest: list[int], bias: Array | None) -> list[str]:
    return inputs if bias is None else [*inputs, m.graph.add_constant(m.names[rest[0]], bias)]


def _convolution(m: Importer, operator: Any, depthwise: bool) -> None:
    x, w, *rest = (int(i) for i in operator.InputsAsNumpy())
    y = int(operator.Outputs(0))
    o = options(operator, tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions)
    weights, bias = m.stored(w, "the filter"), _bias(m, x, rest)
    weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
    dilations = (o.DilationHFactor(), o.DilationWFactor())
    factors = product_factors(m, x, w, y, product32=m.dtype(w) == "uint8")
    wide_sums = m.dtype(x) == "int16"
    attrs = {
        **_window(m, o, x, y, (weights.shape[2], weights.shape[3]), dilations),
        **(wide(factors) if wide_sums else doubled(factors)),
        **activation(m, y, o.FusedActivationFunction()),
        "dilations": list(dilations),
        "x_zero_point": m.zero_point(x),
        "group": m.shape(x)[3] if depthwise else m.shape(x)[3] // weights.shape[1],
    }
    if any(m.zero_points(w)):
        attrs["w_zero_point"] = m.zero_points(w)
    inputs = [m.operand(x), m.graph.add_constant(m.names[w], np.ascontiguousarray(weights))]
    m.add("Conv2d", _with_bias(m, inputs, rest, bias), y, attrs)


@rule("CONV_2D")
def _conv_2d(m: Importer, operator: Any) -> None:
    _convolution(m, operator, depthwise=False)


@rule("DEPTHWISE_CONV_2D")
def _depthwise_conv_2d(m: Importer, operator: Any) -> None:
    _convolution(m, operator, depthwise=True)


@rule("FULLY_CONNECTED")
def _fully_connected(m: Importer, operator: Any) -> None:
    x, w, *rest = (int(i) for i in operator.InputsAsNumpy())
    y = int(operator.Outputs(0))
    o = options(operator, tflite.FullyConnectedOptions)
    weights, bias = m.stored(w, "the weights"), _bias(m, x, rest)
    factors = product_factors(m, x, w, y, product32=m.scales(w).size == 1 and m.dtype(x) != "int16")
    attrs = {
        **single(factors),
        **activation(m, y, o.FusedActivationFunction()),
        "a_zero_point": m.zero_point(x),
    }
    if any(m.zero_points(w)):
        attrs["b_zero_point"] = m.zero_points(w)
    outputs, depth = weights.shape
    rows = int(np.prod(m.shape(x))) // depth
    flat = m.elements_in_order(x)
    if m.graph.types[flat].shape != (rows, depth):
        reshaped = m.between(f"{m.names[x]}/flat", (rows, depth), m.dtype(x))
        m.add("Reshape", [flat], reshaped, {})
        flat = reshaped
    inputs = _with_bias(m, [flat, m.graph.add_constant(m.names[w], np.ascontiguousarray(weights.T))], rest, bias)
    if m.shape(y) == (rows, outputs):
        m.add("MatMul", inputs, y, attrs)
        return
    product = m.between(f"{m.names[y]}/flat", (rows, outputs), m.dtype(y))
    m.add("MatMul", inputs, product, attrs)
    m.add_as_stored("Reshape", [product], y, {})


def _pool(m: Importer, operator: Any) -> tuple[int, int, dict[str, Any], dict[str, int]]:
    """(input, output, window, activation) of a pool, which must not rescale."""
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    if not m.same_quantization(x, y):
        raise UnsupportedError(f"'{m.names[y]}': a pool between different scales")
    o = options(operator, tflite.Pool2DOptions)
    kernel = (o.FilterHeight(), o.FilterWidth())
    window = {**_window(m, o, x, y, kernel, (1, 1)), "kernel": list(kernel)}
    return x, y, window, activation(m, y, o.FusedActivationFunction())


@rule("AVERAGE_POOL_2D")
def _average_pool(m: Importer, operator: Any) -> None:
    x, y, window, stage = _pool(m, operator)
    divided = {"requant": "divide", "rounding": "half_away", "count_include_pad": 0, "zero_point": 0}
    m.add("AvgPool2d", [m.operand(x)], y, {**window, **stage, **divided})


@rule("MAX_POOL_2D")
def _max_pool(m: Importer, operator: Any) -> None:
    x, y, window, stage = _pool(m, operator)
    del stage["zero_point"]
    m.add("MaxPool2d", [m.operand(x)], y, {**window, **stage})
