"""Structural classes of a difference: what its pattern looks like, where no single change reproduces it exactly.

Rules and their thresholds: docs/explain.md. They look at free elements (no clamp hides them), at the distance of the
exact value to a tie, at channels, edges and clamp bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bittrue.verify.explain.case import Array, LayerCase

MOSTLY, NEARLY_ALL = 0.99, 0.999
FLOAT_ORDER = 1e-5  # relative difference that another order of float additions can make


@dataclass(frozen=True)
class Pattern:
    """explained: share of the differing elements that fit."""

    cls: str
    label: str
    text: str
    explained: float


def patterns(case: LayerCase) -> Iterator[Pattern]:
    """Every class whose rule holds, in the order of docs/explain.md."""
    bad = case.bad
    count = int(bad.sum())
    if not count:
        return
    if not case.integer:
        yield from _floats(case, count)
    yield from _channel_pattern(case)
    if case.integer:
        yield from _saturation(case)
        yield from _at_bounds(case, count)
        yield from _constant_offset(case)
    yield from _edges(case, count)
    if case.integer:
        yield from _rounding(case, count)


def _floats(case: LayerCase, count: int) -> Iterator[Pattern]:
    r, g = case.simulated, case.observed
    nonfinite = ~(np.isfinite(r) & np.isfinite(g)) & case.bad
    if nonfinite.any():
        share = float(nonfinite.sum()) / count
        where = "in the reference" if not np.isfinite(g[nonfinite]).all() else "in the simulation"
        yield Pattern("NONFINITE", "", f"{int(nonfinite.sum())} NaN or infinities {where}", share)
        return
    larger = np.maximum(np.abs(r), np.abs(g)).astype(np.float64)
    scale = max(float(np.abs(r).max()), 1e-30)
    relative = np.abs(case.difference) / np.maximum(larger, 1e-3 * scale)
    if float(relative[case.bad].max()) <= FLOAT_ORDER:
        largest = float(relative[case.bad].max())
        text = f"differences up to {largest:.1e} relative: the size that another order of additions makes"
        yield Pattern("ACCUMULATION", "ORDER", text, 1.0)


def _channel_pattern(case: LayerCase) -> Iterator[Pattern]:
    rows = np.moveaxis(case.bad, case.channel_axis, 0)
    rows = rows.reshape(rows.shape[0], -1)
    share = rows.mean(axis=1)
    wrong = np.flatnonzero(share)
    if rows.shape[1] > 1 and wrong.size <= rows.shape[0] / 2 and float(np.median(share[wrong])) >= 0.5:
        listed = ", ".join(map(str, wrong[:8])) + (" ..." if wrong.size > 8 else "")
        yield Pattern("PER_CHANNEL", "OTHER", f"only channels {listed} of {rows.shape[0]} differ", 1.0)


def _saturation(case: LayerCase) -> Iterator[Pattern]:
    r, g = case.simulated, case.observed
    if (np.clip(g, r.min(), r.max()) == r).all():
        yield Pattern(
            "SATURATION", "SIMULATION", f"the simulation is the reference clamped to [{r.min()}, {r.max()}]", 1.0
        )


def _at_bounds(case: LayerCase, count: int) -> Iterator[Pattern]:
    low, high = case.bounds
    at = ((case.simulated == low) | (case.simulated == high)) & case.bad
    if at.sum() >= MOSTLY * count:
        yield Pattern(
            "WRAP", "", "the differing elements are those that the simulation saturates", float(at.sum()) / count
        )


def _constant_offset(case: LayerCase) -> Iterator[Pattern]:
    free = case.difference[case.free]
    if not free.size:
        return
    values, counts = np.unique(free, return_counts=True)
    k = int(np.argmax(counts))
    if values[k] != 0 and counts[k] >= NEARLY_ALL * free.size:
        c = int(values[k])
        text = f"{c:+d} on {100 * counts[k] / free.size:.2f} % of the elements that no clamp hides"
        yield Pattern("OFFSET" if abs(c) == 1 else "ZERO_POINT", f"{c:+d}", text, float(counts[k]) / free.size)


def _edges(case: LayerCase, count: int) -> Iterator[Pattern]:
    pads = case.node.attrs.get("pads")
    if case.bad.ndim != 4 or pads is None or len(pads) != 4 or not any(pads):
        return
    inside = touches_no_padding(case)
    if inside.any() and not case.bad[..., inside].any():
        sides = [w for w, p in zip(("top", "left", "bottom", "right"), pads, strict=True) if p]
        text = f"only elements whose window reaches the padding differ ({', '.join(sides)})"
        yield Pattern("PAD_EDGE", "", text, 1.0)


def touches_no_padding(case: LayerCase) -> Array:
    """(OH, OW) bool: elements of a window op whose window lies inside the input."""
    x, attrs = case.operand(0), case.node.attrs
    oh, ow = case.simulated.shape[2:]
    if x is None or x.ndim != 4:
        return np.zeros((oh, ow), bool)
    kernel = attrs.get("kernel")
    if kernel is None:
        weights = case.operand(1)
        kernel = weights.shape[2:] if weights is not None and weights.ndim == 4 else (1, 1)
    inside = []
    for axis, size in enumerate((oh, ow)):
        stride = list(attrs.get("strides", [1, 1]))[axis]
        dilation = list(attrs.get("dilations", [1, 1]))[axis]
        first = np.arange(size) * stride - attrs["pads"][axis]
        inside.append((first >= 0) & (first + dilation * (kernel[axis] - 1) < x.shape[2 + axis]))
    return np.logical_and.outer(inside[0], inside[1])


def _rounding(case: LayerCase, count: int) -> Iterator[Pattern]:
    """Differences of one step, told apart by the distance of the exact value to a tie."""
    d = case.difference[case.bad]
    if np.abs(d).max() != 1:
        return
    signs = "all +1" if (d == 1).all() else "all -1" if (d == -1).all() else "+1 and -1"
    if case.sums is not None and case.factors is not None:
        exact = case.sums * case.per_channel(np.atleast_1d(case.factors))
        distance = np.abs(exact - np.floor(exact) - 0.5)[case.bad]
        if not distance.any():
            yield Pattern("TIE_ROUNDING", "", f"one step, {signs}, all at exact ties", 1.0)
            return
        near = np.abs(exact)[case.bad] * 2.0**-8
        if (distance <= near).all():
            worst = float((distance / np.maximum(np.abs(exact)[case.bad], 1e-9)).max())
            text = f"one step, {signs}, all within {worst:.1e} of a tie: a factor of fewer bits, or two roundings"
            yield Pattern("MULTIPLIER", "", text, 1.0)
            return
    share = count / case.bad.size
    if max((d == 1).mean(), (d == -1).mean()) >= NEARLY_ALL and 0.3 <= share <= 0.7:
        yield Pattern("TRUNCATION", "", f"one step, {signs}, on {100 * share:.0f} % of the elements", 1.0)
