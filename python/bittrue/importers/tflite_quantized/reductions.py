"""Reductions along axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from bittrue.errors import UnsupportedError
from bittrue.importers.tflite_quantized.reader import Importer, options
from bittrue.importers.tflite_quantized.registry import rule
from bittrue.targets.factors import quantized_multiplier


def _reduce(m: Importer, operator: Any, mean: bool) -> None:
    """The exact sum is scaled by the multiplier of in/out, which a mean divides by the number of elements first."""
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    axes = sorted({int(a) % len(m.shape(x)) for a in np.atleast_1d(m.stored(int(operator.Inputs(1)), "the axes"))})
    multiplier, exponent = quantized_multiplier(m.scale(x) / m.scale(y))
    if mean:
        count = int(np.prod([m.shape(x)[a] for a in axes]))
        shift = min(count.bit_length() - 1, 32, 31 + exponent)
        multiplier, exponent = (multiplier << shift) // count, exponent - shift
    keep = len(m.shape(y)) == len(m.shape(x))
    attrs = {
        "kind": "sum",
        "keepdims": int(keep),
        "x_zero_point": m.zero_point(x),
        "requant": "double_round",
        "multiplier": [multiplier],
        "shift": [-exponent],
        "rounding": "half_away",
        "zero_point": m.zero_point(y),
    }
    if keep:
        m.add("Reduce", [m.operand(x)], y, {**attrs, "axes": sorted(m.axis(x, a) for a in axes)})
    else:
        m.add_as_stored("Reduce", [m.as_stored(x)], y, {**attrs, "axes": axes})


@rule("MEAN")
def _mean(m: Importer, operator: Any) -> None:
    _reduce(m, operator, mean=True)


@rule("SUM")
def _sum(m: Importer, operator: Any) -> None:
    if m.dtype(int(operator.Inputs(0))) != "uint8":
        raise UnsupportedError("the kernel rescales sums of uint8 only")
    _reduce(m, operator, mean=False)


@rule("ARG_MAX")
def _arg_max(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    if m.dtype(x) not in ("int8", "uint8", "int16"):
        raise UnsupportedError(f"'{m.names[y]}': the largest of {m.dtype(x)}")
    axis = int(np.ravel(m.stored(int(operator.Inputs(1)), "the axis"))[0]) % len(m.shape(x))
    options(operator, tflite.ArgMaxOptions)
    m.add_as_stored("ArgMax", [m.as_stored(x)], y, {"axis": axis, "keepdims": 0})
