"""Fixed-point functions of TFLite's reference kernels. Source: gemmlowp, fixedpoint/fixedpoint.h."""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.ops.arithmetic import high_multiply

Array = np.ndarray[Any, Any]
# exp(-2^k) with 31 fraction bits, for k = -2, -1, ..
POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
EXP_MINUS_EIGHTH, THIRD = 1895147668, 715827883
INT32_MAX = (1 << 31) - 1


def _half_away(v: Array, n: int) -> Array:
    return np.asarray(np.sign(v) * ((np.abs(v) + (1 << (n - 1))) >> n))


def _exp_above_minus_quarter(a: Array) -> Array:
    """exp(a) for a in [-1/4, 0), both with 31 fraction bits: four terms of the series around -1/8."""
    x = a + (1 << 28)
    x2 = high_multiply(x, x)
    x3, x4 = high_multiply(x2, x), high_multiply(x2, x2)
    rest = _half_away(high_multiply(_half_away(x4, 2) + x3, THIRD) + x2, 1)
    return EXP_MINUS_EIGHTH + high_multiply(EXP_MINUS_EIGHTH, x + rest)


def exp_on_negative_values(a: Array, integer_bits: int) -> Array:
    """exp(a) with 31 fraction bits; a <= 0, 32 bits of which `integer_bits` (at most 5) are integer."""
    a = np.asarray(a, np.int64)
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    low = (a & (quarter - 1)) - quarter  # the part of a in [-1/4, 0)
    result = _exp_above_minus_quarter(low << integer_bits)
    rest = low - a
    for k, power in enumerate(POWERS):
        if integer_bits > k - 2:
            result = np.where(rest & (1 << (fraction + k - 2)), high_multiply(result, power), result)
    return np.where(a == 0, INT32_MAX, result)
