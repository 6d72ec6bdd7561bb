"""Output and input stages as TFLite's reference kernels scale: real factors become integer multipliers and shifts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bittrue.errors import UnsupportedError
from bittrue.importers.tflite_quantized.reader import Importer
from bittrue.targets.factors import quantized_multiplier, round_away

NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3  # ActivationFunctionType
ACTIVATION_RANGES: dict[int, tuple[float | None, float | None]] = {
    NONE: (None, None), RELU: (0.0, None), RELU_N1_TO_1: (-1.0, 1.0), RELU6: (0.0, 6.0),
}  # fmt: skip


def doubled(factors: Sequence[float], prefix: str = "") -> dict[str, Any]:
    """Rounding twice: half up in the high multiply, half away in the last shift."""
    pairs = [quantized_multiplier(f) for f in factors]
    return {
        f"{prefix}requant": "double_round",
        f"{prefix}multiplier": [m for m, _ in pairs],
        f"{prefix}shift": [-e for _, e in pairs],
        f"{prefix}rounding": "half_away",
    }


def single(factors: Sequence[float]) -> dict[str, Any]:
    """Rounding once, half up: the exact product of the sum and the 31-bit multiplier is shifted."""
    pairs = [quantized_multiplier(f) for f in factors]
    return {"requant": "multiplier_shift", "multiplier": [m for m, _ in pairs], "shift": [31 - e for _, e in pairs]}


def wide(factors: Sequence[float]) -> dict[str, Any]:
    """Of 64-bit sums: the multiplier has 16 bits, rounding once, half up."""
    pairs = [quantized_multiplier(f) for f in factors]
    reduced = [(m + (1 << 15)) >> 16 if m < 0x7FFF0000 else 0x7FFF for m, _ in pairs]
    return {"requant": "multiplier_shift", "multiplier": reduced, "shift": [15 - e for _, e in pairs]}


def product_factors(m: Importer, x: int, w: int, y: int, product32: bool) -> list[float]:
    """Input scale times weight scale by output scale, in double; product32: the product is rounded to binary32, as
    the kernels with one factor per tensor do."""
    products = [m.scale(x) * float(s) for s in m.scales(w)]
    if product32:
        products = [float(np.float32(p)) for p in products]
    return [p / m.scale(y) for p in products]


def activation(m: Importer, i: int, kind: int) -> dict[str, int]:
    """Zero point and clamp of a fused activation, in the output's steps."""
    low, high = m.limits(i)
    if kind not in ACTIVATION_RANGES:
        raise UnsupportedError(f"tensor '{m.names[i]}': fused activation {kind}")
    bottom, top = ACTIVATION_RANGES[kind]
    low = low if bottom is None else max(low, _quantized(m, i, bottom))
    high = high if top is None else min(high, _quantized(m, i, top))
    return {"zero_point": m.zero_point(i), "clamp_min": low, "clamp_max": high}


def _quantized(m: Importer, i: int, value: float) -> int:
    return m.zero_point(i) + round_away(float(np.float32(value) / np.float32(m.scale(i))))


def eight_bit_table(m: Importer, x: int, y: int, function: Callable[[Any], Any]) -> str:
    """The table of an 8-bit function, by raw byte: round_away(fl(function(x) * (1/scale))) + zero point, in binary32
    as TFLite fills it."""
    if {m.dtype(x), m.dtype(y)} - {"int8", "uint8"}:
        raise UnsupportedError(f"'{m.names[y]}': a function of {m.dtype(x)}")
    raw = np.arange(256, dtype=np.uint8).view(m.dtype(x)).astype(np.int32)
    real = np.float32(m.scale(x)) * (raw - m.zero_point(x)).astype(np.float32)
    with np.errstate(over="ignore"):
        scaled = function(real).astype(np.float32) * (np.float32(1) / np.float32(m.scale(y)))
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int64) + m.zero_point(y)
    return m.graph.add_constant(f"{m.names[y]}/table", np.clip(rounded, *m.limits(y)).astype(m.dtype(y)))
