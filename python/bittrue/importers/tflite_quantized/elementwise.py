"""Element by element: additions, products, rectifiers, changes of scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from bittrue.errors import UnsupportedError
from bittrue.importers.tflite_quantized.reader import Importer, options
from bittrue.importers.tflite_quantized.registry import rule
from bittrue.importers.tflite_quantized.scaling import NONE, RELU, RELU6, RELU_N1_TO_1, activation, doubled

LEFT_SHIFT = {"int8": 20, "uint8": 20, "int16": 15}  # bits that an addition has to spare


def _pair(m: Importer, operator: Any) -> tuple[int, int, int, list[str]]:
    """(a, b, output, operands) of an op with two inputs that broadcast."""
    a, b, y = int(operator.Inputs(0)), int(operator.Inputs(1)), int(operator.Outputs(0))
    if {m.dtype(i) for i in (a, b, y)} - set(LEFT_SHIFT):
        raise UnsupportedError(f"'{m.names[y]}': element type {m.dtype(y)}")
    rank = len(m.shape(y))
    return a, b, y, [m.operand(a, rank), m.operand(b, rank)]


def _sum(m: Importer, operator: Any, kind: Any, signs: list[int]) -> None:
    a, b, y, operands = _pair(m, operator)
    left_shift = LEFT_SHIFT[m.dtype(y)]
    twice = 2 * max(m.scale(a), m.scale(b))
    attrs = {
        **doubled([m.scale(a) / twice, m.scale(b) / twice], "input_"),
        **doubled([twice / (2.0**left_shift * m.scale(y))]),
        **activation(m, y, options(operator, kind).FusedActivationFunction()),
        "input_zero_point": [m.zero_point(a), m.zero_point(b)],
        "left_shift": left_shift,
        "signs": signs,
    }
    m.add("Add", operands, y, attrs)


@rule("ADD")
def _add(m: Importer, operator: Any) -> None:
    _sum(m, operator, tflite.AddOptions, [1, 1])


@rule("SUB")
def _sub(m: Importer, operator: Any) -> None:
    _sum(m, operator, tflite.SubOptions, [1, -1])


@rule("MUL")
def _mul(m: Importer, operator: Any) -> None:
    a, b, y, operands = _pair(m, operator)
    attrs = {
        **doubled([m.scale(a) * m.scale(b) / m.scale(y)]),
        **activation(m, y, options(operator, tflite.MulOptions).FusedActivationFunction()),
        "a_zero_point": m.zero_point(a),
        "b_zero_point": m.zero_point(b),
    }
    m.add("Mul", operands, y, attrs)


def _rescaled(m: Importer, operator: Any, clamp: int) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    attrs = {**doubled([m.scale(x) / m.scale(y)]), **activation(m, y, clamp), "x_zero_point": m.zero_point(x)}
    m.add("Requantize", [m.operand(x)], y, attrs)


@rule("RELU")
def _relu(m: Importer, operator: Any) -> None:
    _rescaled(m, operator, RELU)


@rule("RELU6")
def _relu6(m: Importer, operator: Any) -> None:
    _rescaled(m, operator, RELU6)


@rule("RELU_N1_TO_1")
def _relu_n1_to_1(m: Importer, operator: Any) -> None:
    _rescaled(m, operator, RELU_N1_TO_1)


@rule("LEAKY_RELU")
def _leaky_relu(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    scale_in, scale_out = np.float32(m.scale(x)), np.float32(m.scale(y))
    alpha = np.float32(options(operator, tflite.LeakyReluOptions).Alpha())
    attrs = {
        **doubled([float(scale_in / scale_out)]),
        **doubled([float(scale_in * alpha / scale_out)], "negative_"),
        "x_zero_point": m.zero_point(x),
        "zero_point": m.zero_point(y),
    }
    one = m.graph.add_constant(f"{m.names[y]}/slope", np.ones(1, np.int8))
    m.add("Prelu", [m.operand(x), one], y, attrs)


@rule("QUANTIZE")
def _quantize(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    if m.dtype(x) != "float32":
        _rescaled(m, operator, NONE)
        return
    attrs = {"scale": [m.scale(y)], "scale_op": "divide", "rounding": "half_away", "zero_point": m.zero_point(y)}
    m.add("Quantize", [m.operand(x)], y, attrs)


@rule("DEQUANTIZE")
def _dequantize(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    m.add("Dequantize", [m.operand(x)], y, {"scale": [m.scale(x)], "zero_point": m.zero_point(x)})
