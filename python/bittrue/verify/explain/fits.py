"""Hypotheses with a fitted number: an offset, a factor, a bias, a clamp range.

The number comes from the observed values, so each needs many more elements than it has parameters
(`search.ELEMENTS_PER_PARAMETER`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from bittrue.ops.arithmetic import round_real
from bittrue.verify.explain.case import Array, Hypothesis, LayerCase

# Factors that mean something: powers of two, and the ways to map a range to 8 bits.
NAMED_FACTORS = {
    2.0: "SHIFT", 0.5: "SHIFT", 4.0: "SHIFT", 0.25: "SHIFT",
    127 / 128: "127/128", 128 / 127: "128/127", 127.5 / 127: "127.5/127", 127 / 127.5: "127/127.5",
    255 / 256: "255/256", 256 / 255: "256/255", 255 / 127: "255/127", 127 / 255: "127/255",
}  # fmt: skip


def fitted_changes(case: LayerCase) -> Iterator[Hypothesis]:
    """Clamps, offsets, factors and biases that the observed values ask for."""
    if not case.integer or not case.bad.any():
        return
    yield from _clamps(case)
    yield from _offsets(case)
    yield from _factors(case)
    yield from _multipliers(case)
    yield from _biases(case)


def _clamps(case: LayerCase) -> Iterator[Hypothesis]:
    info, zero = np.iinfo(case.simulated.dtype), int(case.attribute("zero_point") or 0)
    low, high = case.bounds
    seen_low, seen_high = int(case.observed.min()), int(case.observed.max())
    wanted = {
        (max(low, zero), high): "RELU",
        (info.min, high): "RELU_MISSING",
        (info.min, info.max): "NONE",
        (max(low, -127), high): "SYMMETRIC_127",
        (max(low, 0), min(high, 127)): "SIGNEDNESS",
        (seen_low, high): "LOWER",
        (low, seen_high): "UPPER",
        (seen_low, seen_high): "RANGE",
    }
    for (lower, upper), label in wanted.items():
        if (lower, upper) == (low, high) or lower >= upper:
            continue
        text = f"clamp [{low}, {high}] -> [{lower}, {upper}]"
        attrs = {"clamp_min": lower, "clamp_max": upper}

        if case.unclamped is not None:
            result: Array | None = np.clip(case.unclamped, lower, upper).astype(case.simulated.dtype)
        elif lower >= low and upper <= high:
            result = np.clip(case.simulated, lower, upper)
        else:
            result = case.run(attrs)
        carried = attrs if label in ("SYMMETRIC_127", "SIGNEDNESS", "NONE") else {}
        yield Hypothesis("SATURATION", label, text, result, carried)


def _offsets(case: LayerCase) -> Iterator[Hypothesis]:
    """One constant added before or after the clamp."""
    usable = case.free if case.free.any() else case.bad
    values, counts = np.unique(case.difference[usable], return_counts=True)
    order = np.argsort(-counts)[:3]
    low, high = case.bounds
    info = np.iinfo(case.simulated.dtype)
    for c in (int(values[k]) for k in order if values[k]):
        cls, label = ("OFFSET" if abs(c) == 1 else "ZERO_POINT"), f"{c:+d}"
        if case.unclamped is not None:
            yield Hypothesis(
                cls,
                label,
                f"{c:+d} before the clamp (zero point {int(case.attribute('zero_point'))} -> "
                f"{int(case.attribute('zero_point')) + c})",
                np.clip(case.unclamped + c, low, high).astype(case.simulated.dtype),
                free_parameters=1,
            )
        wide = case.simulated.astype(np.int64)
        for lower, upper in dict.fromkeys(((low, high), (info.min, info.max))):
            yield Hypothesis(
                cls,
                label,
                f"{c:+d} on every element, clamped to [{lower}, {upper}]",
                np.clip(wide + c, lower, upper).astype(case.simulated.dtype),
                free_parameters=1,
            )
        yield Hypothesis(
            "WRAP",
            f"OFFSET{c:+d}",
            f"{c:+d} on every element, without saturation",
            (wide + c).astype(case.simulated.dtype),
            free_parameters=1,
        )


def fitting_factors(sums: Array, target: Array) -> tuple[float, float]:
    """Factors k with round(sums * k) == target for every rounding of ties: |sums * k - target| <= 1/2."""
    used = sums != 0
    s, t = sums[used].astype(np.float64), target[used].astype(np.float64)
    if not s.size:
        return -math.inf, math.inf
    a, b = (t - 0.5) / s, (t + 0.5) / s
    return float(np.minimum(a, b).max()), float(np.maximum(a, b).min())


def simplest(low: float, high: float) -> float:
    """The named factor, else the shortest decimal number between two numbers."""
    named = next((k for k in NAMED_FACTORS if low <= k <= high), None)
    if named is not None:
        return named
    for digits in range(1, 16):
        k = round((low + high) / 2, digits)
        if low <= k <= high:
            return k
    return (low + high) / 2


def _factors(case: LayerCase) -> Iterator[Hypothesis]:
    """One factor on the scale of the layer, or on its already rounded output; for all channels or for one each."""
    zero = int(case.attribute("zero_point") or 0)
    low, high = case.bounds
    target = case.observed.astype(np.int64) - zero
    rounding = case.attribute("rounding") if case.attribute("requant") not in (None, "none") else "half_away"
    bases: list[tuple[str, Array]] = []
    if case.sums is not None and case.factors is not None:
        bases.append(("the scale of the layer", case.sums * case.per_channel(np.atleast_1d(case.factors))))
    bases.append(("the output", case.simulated.astype(np.float64) - zero))
    for what, base in bases:
        for use in (case.free, case.free & (np.abs(base) >= 1)):
            k_low, k_high = fitting_factors(base[use], target[use])
            if k_low <= k_high and not k_low <= 1.0 <= k_high:
                break
        else:
            continue
        k = simplest(k_low, k_high)
        for rule in dict.fromkeys((rounding, "half_away", "half_even", "half_up", "toward_zero", "floor")):
            result = np.clip(round_real(base * k, rule) + zero, low, high).astype(case.simulated.dtype)
            label = NAMED_FACTORS.get(k, f"{k:.9g}")
            cls = "SCALE" if abs(k - 1) * np.abs(target).max() >= 2 else "MULTIPLIER"
            text = f"{what} times {k:.9g} (any factor in [{k_low:.9g}, {k_high:.9g}] fits)"
            yield Hypothesis(cls, label, text, result, free_parameters=1)


def _multipliers(case: LayerCase) -> Iterator[Hypothesis]:
    """Integer multipliers from another real factor: one for all channels before they were rounded to integers, or one
    for each channel."""
    sums, multiplier = case.sums, np.array(case.attribute("multiplier") or [1], np.float64)
    if sums is None or case.factors is None or case.attribute("requant") == "float_scale":
        return
    channels = sums.shape[case.channel_axis]
    base = np.broadcast_to(np.atleast_1d(case.factors), (channels,))
    unit = 0.5 / np.broadcast_to(multiplier, (channels,))  # what rounding a multiplier can do to the factor
    rows, target, free = (
        np.moveaxis(a, case.channel_axis, 0).reshape(channels, -1)
        for a in (sums, case.observed.astype(np.int64) - int(case.attribute("zero_point")), case.free)
    )
    bounds = np.array([fitting_factors(rows[c][free[c]] * base[c], target[c][free[c]]) for c in range(channels)])
    if (bounds[:, 0] > bounds[:, 1]).any():
        return
    low, high = float((bounds[:, 0] - unit).max()), float((bounds[:, 1] + unit).min())
    if low <= high and np.isfinite(low) and multiplier.max() > 1:
        k = simplest(low, high)
        attrs = {"multiplier": [int(m) for m in np.floor(multiplier * k + 0.5)]}
        text = f"multipliers from a factor {k:.9g} times as large"
        yield Hypothesis("MULTIPLIER", f"{k:.9g}", text, case.stage(sums, attrs), free_parameters=1)
    kept = (bounds[:, 0] <= 1) & (bounds[:, 1] >= 1)
    k_c = np.array([1.0 if keep else simplest(a, b) for (a, b), keep in zip(bounds, kept, strict=True)])
    changed = int((~kept).sum())
    if not changed or not np.isfinite(k_c).all():
        return
    exact = sums * case.per_channel(base * k_c) + int(case.attribute("zero_point"))
    spread = f"{k_c[~kept].min():.6g} to {k_c[~kept].max():.6g}" if changed > 1 else f"{k_c[~kept][0]:.6g}"
    text = f"the factor of {changed} of {channels} channels times {spread}"
    cls = "SCALE" if np.abs(k_c - 1).max() * np.abs(target).max() >= 2 else "MULTIPLIER"
    for rule in dict.fromkeys((case.attribute("rounding"), "half_away", "half_even")):
        result = np.clip(round_real(exact, rule), *case.bounds).astype(case.simulated.dtype)
        yield Hypothesis(cls, "PER_CHANNEL", text, result, free_parameters=changed)


def _biases(case: LayerCase) -> Iterator[Hypothesis]:
    if case.sums is None:
        return
    sums = case.sums
    bias = case.constant(2) if case.node.op in ("Conv2d", "ConvTranspose2d", "MatMul") else None
    if bias is not None and bias.any():
        b = case.per_channel(bias.astype(np.int64))
        scaled = case.stage(np.broadcast_to(b, sums.shape).copy(), {"clamp_min": None, "clamp_max": None}, "int64")
        bare = case.stage(sums - b, {"clamp_min": None, "clamp_max": None}, "int64")
        low, high = case.bounds
        dtype = case.simulated.dtype
        variants = {
            "MISSING": ("bias left out", case.stage(sums - b)),
            "TWICE": ("bias added twice", case.stage(sums + b)),
            "NEGATED": ("bias subtracted", case.stage(sums - 2 * b)),
            "INT16_CLIPPED": ("bias saturated to 16 bits", case.stage(sums - b + np.clip(b, -32768, 32767))),
            "INT8_CLIPPED": ("bias saturated to 8 bits", case.stage(sums - b + np.clip(b, -128, 127))),
            "INT16_WRAPPED": (
                "bias wrapped to 16 bits",
                case.stage(sums - b + b.astype(np.int16).astype(np.int64)),
            ),
        }
        for label, (text, result) in variants.items():
            yield Hypothesis("BIAS", label, text, result)
        if scaled is not None and bare is not None:
            zero = int(case.attribute("zero_point"))
            yield Hypothesis(
                "BIAS",
                "AFTER_SHIFT",
                "bias scaled by itself and added after the rounding",
                np.clip(bare + scaled - zero, low, high).astype(dtype),
            )
            yield Hypothesis(
                "BIAS",
                "UNSCALED_AFTER_SHIFT",
                "bias added after the shift",
                np.clip(bare + b, low, high).astype(dtype),
            )
    yield from _fitted_bias(case)


def _fitted_bias(case: LayerCase) -> Iterator[Hypothesis]:
    """For each channel the constant in units of the sum that explains all of its free elements."""
    sums, factors = case.sums, case.factors
    if sums is None or factors is None:
        return
    axis, zero = case.channel_axis, int(case.attribute("zero_point"))
    channels = sums.shape[axis]
    s = np.broadcast_to(np.atleast_1d(factors), (channels,))
    rows = np.moveaxis(sums, axis, 0).reshape(channels, -1)
    target = np.moveaxis(case.observed.astype(np.int64) - zero, axis, 0).reshape(channels, -1)
    free = np.moveaxis(case.free, axis, 0).reshape(channels, -1)
    bad = np.moveaxis(case.bad, axis, 0).reshape(channels, -1).any(axis=1)
    found = np.zeros(channels, np.int64)
    for c in np.flatnonzero(bad):
        used = free[c]
        if not used.any() or s[c] == 0:
            return
        low = ((target[c, used] - 0.5) / s[c] - rows[c, used]).max()
        high = ((target[c, used] + 0.5) / s[c] - rows[c, used]).min()
        if math.ceil(low) > math.floor(high):
            return
        found[c] = 0 if low <= 0 <= high else round((math.ceil(low) + math.floor(high)) / 2)
    changed = np.flatnonzero(found)
    if not changed.size:
        return
    listed = ", ".join(f"channel {c}: {found[c]:+d}" for c in changed[:4]) + (" ..." if changed.size > 4 else "")
    yield Hypothesis(
        "BIAS",
        "FITTED",
        f"another bias in {changed.size} of {channels} channels ({listed})",
        case.stage(sums + case.per_channel(found)),
        free_parameters=int(changed.size),
    )
