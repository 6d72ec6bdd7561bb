"""Functions of 8-bit values as tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tflite

from bittrue.errors import UnsupportedError
from bittrue.importers.tflite_quantized.fixed_point import exp_on_negative_values
from bittrue.importers.tflite_quantized.reader import Array, Importer, options
from bittrue.importers.tflite_quantized.registry import rule
from bittrue.importers.tflite_quantized.scaling import eight_bit_table
from bittrue.ops.arithmetic import high_multiply
from bittrue.targets.factors import quantized_multiplier

INTEGER_BITS = 5  # of the exponent


def softmax_table(scale: float, beta: float) -> Array:
    """exp(-d * scale * beta) for d = 0..255 with 31 fraction bits, int32, as TFLite's reference softmax computes it;
    0 where the exponent leaves the range of its fixed-point type."""
    multiplier, shift = quantized_multiplier(min(beta * scale * (1 << (31 - INTEGER_BITS)), (1 << 31) - 1.0))
    d = -np.arange(256, dtype=np.int64)
    lowest = -math.floor(((1 << INTEGER_BITS) - 1) * 2.0 ** (31 - INTEGER_BITS - shift))
    inside = d >= lowest
    exponent = high_multiply(np.where(inside, d, 0) << max(shift, 0), multiplier)
    return np.where(inside, exp_on_negative_values(exponent, INTEGER_BITS), 0).astype(np.int32)


@rule("SOFTMAX")
def _softmax(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    if m.dtype(x) not in ("int8", "uint8") or m.dtype(y) not in ("int8", "uint8", "int16"):
        raise UnsupportedError(f"'{m.names[y]}': softmax of {m.dtype(x)} to {m.dtype(y)}")
    beta = float(options(operator, tflite.SoftmaxOptions).Beta())
    table = m.graph.add_constant(f"{m.names[y]}/exp", softmax_table(m.scale(x), beta))
    axis = m.axis(x, -1)
    if m.shape(x)[-1] >= 4096:
        raise UnsupportedError(f"'{m.names[y]}': softmax of {m.shape(x)[-1]} values does not fit 32 bits")
    m.add("SoftmaxFixed", [m.operand(x), table], y, {"axis": axis})


def _lookup(m: Importer, operator: Any, function: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    m.add("Lookup", [m.operand(x), eight_bit_table(m, x, y, function)], y, {})


@rule("LOGISTIC")
def _logistic(m: Importer, operator: Any) -> None:
    _lookup(m, operator, lambda v: np.float32(1) / (np.float32(1) + np.exp(-v.astype(np.float64)).astype(np.float32)))


@rule("TANH")
def _tanh(m: Importer, operator: Any) -> None:
    _lookup(m, operator, lambda v: np.tanh(v.astype(np.float64)))
