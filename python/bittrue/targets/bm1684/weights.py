"""The 16-bit bias of BM1684's weighted layers, and the shift that it may lower. Evidence: source."""

from __future__ import annotations

import numpy as np

from bittrue.quantize import integer as q
from bittrue.quantize.context import Array

F = np.float32
LARGEST_BIAS_LOSS = 0.03  # share of clipped bias values above which the shift is lowered


def shift_and_bias(n: int, bias: Array | None, sy: float) -> tuple[int, Array | None]:
    """Lowers the shift until at most 3 % of the 16-bit bias values are clipped."""
    if bias is None:
        return n, None
    while True:
        b16, lost = q.saturate(q.round_away(bias * F(2.0**n / sy)), "int16")
        if lost <= LARGEST_BIAS_LOSS or n <= 0:
            return n, b16
        n -= 1
