"""Hypotheses about float layers: another bias, clamp, factor, offset or format of the result."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bittrue.verify.explain.case import Array, Hypothesis, LayerCase
from bittrue.verify.explain.fits import simplest

WITH_BIAS = ("FloatConv2d", "FloatConvTranspose2d", "FloatMatMul")


def float_changes(case: LayerCase) -> Iterator[Hypothesis]:
    """From what the layer may have left out to fitted numbers."""
    if case.integer or case.simulated.dtype != np.float32 or not np.isfinite(case.observed).all():
        return
    r = case.simulated
    if case.node.op in WITH_BIAS and case.constant(2) is not None:
        yield Hypothesis("BIAS", "MISSING", "bias left out", case.run(operands={2: None}))
    low, high = float(case.observed.min()), float(case.observed.max())
    yield Hypothesis("SATURATION", "RELU", "negative values cut off (relu)", np.maximum(r, np.float32(0)))
    for label, lower, upper, free in (("UPPER", -np.inf, high, 1), ("LOWER", low, np.inf, 1), ("RANGE", low, high, 2)):
        text = f"clamped to [{lower:g}, {upper:g}]"
        yield Hypothesis(
            "SATURATION", label, text, np.clip(r, np.float32(lower), np.float32(upper)), free_parameters=free
        )
    yield Hypothesis("ACCUMULATION", "FORMAT", "result rounded to float16", r.astype(np.float16).astype(np.float32))
    yield Hypothesis("ACCUMULATION", "FORMAT", "result rounded to bfloat16", as_bfloat16(r))
    yield from _fitted(case)


def as_bfloat16(a: Array) -> Array:
    """binary32 rounded to bfloat16, nearest even."""
    bits = a.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    result: Array = rounded.astype(np.uint32).view(np.float32)
    return result


def _fitted(case: LayerCase) -> Iterator[Hypothesis]:
    r, g = case.simulated, case.observed
    d = (g.astype(np.float64) - r)[case.bad]
    c = simplest(float(d.min()), float(d.max())) if d.size else 0.0
    shown = np.float32(np.median(d)) if d.size else np.float32(0)
    for offset in dict.fromkeys((np.float32(c), shown)):
        yield Hypothesis("OFFSET", f"{offset:+g}", f"{offset:+g} on every element", r + offset, free_parameters=1)
    used = case.bad & (np.abs(r) > 1e-3 * np.abs(r).max(initial=0))
    if not used.any():
        return
    ratio = g[used].astype(np.float64) / r[used]
    middle = float(np.median(ratio))
    near = simplest(middle * (1 - 1e-6), middle * (1 + 1e-6))
    for k in dict.fromkeys((np.float32(near), np.float32(middle))):
        yield Hypothesis("SCALE", f"{k:.9g}", f"every element times {k:.9g}", r * k, free_parameters=1)
