"""Hypotheses about the arithmetic: one attribute of the layer has another value. These carry over to other layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bittrue.verify.explain.case import STAGE_DEFAULTS, Hypothesis, LayerCase

ROUNDINGS = ("half_up", "half_away", "half_even", "half_down", "floor", "toward_zero", "ceil", "add_half_trunc")
TIES = {"half_up", "half_away", "half_even", "half_down"}
# attribute -> (its alternatives, the value of an absent attribute, class, label)
CHOICES: dict[str, tuple[tuple[Any, ...], Any, str, str]] = {
    "acc": (("wrap32", "sat32", "exact64"), "exact64", "WRAP", "ACC32"),
    "zero_point_order": (("after_rounding", "before_rounding"), "after_rounding", "ZERO_POINT", "ORDER"),
    "count_include_pad": ((0, 1), 1, "PAD_EDGE", "POOL_DIVISOR"),
    "saturate_each": ((0, 1), 0, "SATURATION", "BETWEEN_ADDITIONS"),
    "wrap_bits": ((8, 16, 32), 16, "WRAP", "INTERMEDIATE"),
    "coordinate": (
        ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"), "half_pixel", "RESIZE", "COORDINATE",
    ),
    "nearest": (
        ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"), "round_prefer_floor", "RESIZE", "NEAREST",
    ),
    "mode": (("nearest", "linear", "constant", "edge", "reflect"), None, "RESIZE", "MODE"),
    "select_last_index": ((0, 1), 0, "ORDER", "TIES"),
    "scale_op": (("multiply", "divide"), "multiply", "MULTIPLIER", "SCALE_OPERATION"),
    "order": (("plain", "pairs", "alternate"), "plain", "ACCUMULATION", "ORDER"),
    "format": (("float32", "float16", "bfloat16"), "float32", "ACCUMULATION", "FORMAT"),
    "functions": (("ieee", "bm1684"), "ieee", "ACCUMULATION", "FUNCTIONS"),
    "division": (("ieee", "rsqrt2"), "ieee", "ACCUMULATION", "DIVISION"),
    "flush": ((0, 1), 0, "ACCUMULATION", "SUBNORMALS"),
    "relu": ((0, 1), 0, "SATURATION", "RELU"),
}  # fmt: skip
NAMED_SHIFTS = ("shift", "input_shift", "left_shift", "negative_shift")
NAMED_OFFSETS = ("x_zero_point", "w_zero_point", "a_zero_point", "b_zero_point", "input_zero_point")
NAMED_MULTIPLIERS = ("multiplier", "input_multiplier", "negative_multiplier")
MOST_ENTRIES = 4  # entries of an attribute that are also changed one by one (the inputs of an Add)


def rule_changes(case: LayerCase) -> Iterator[Hypothesis]:
    """Every enumerated attribute of the layer with each of its other values, then other ways to scale."""
    yield from _roundings(case, ("", "input_", "negative_"))
    for name, (choices, default, cls, label) in CHOICES.items():
        if name not in case.node.attrs and (default is None or case.run({name: default}) is None):
            continue
        old = case.node.attrs.get(name, default)
        for value in choices:
            if value != old:
                yield _attribute(case, cls, label, {name: value}, f"{name} {old} -> {value}")
    yield from _pool_divisors(case)
    yield from _stagings(case)
    yield from _roundings(case, ("high_", "input_high_"))  # no known kernel rounds its high multiply in another way
    yield from _numbers(case)


def _attribute(
    case: LayerCase, cls: str, label: str, attrs: dict[str, Any], text: str, carries: bool = True
) -> Hypothesis:
    on_sums = case.sums is not None and set(attrs) <= set(STAGE_DEFAULTS)
    result = case.stage(case.sums, attrs) if on_sums and case.sums is not None else case.run(attrs)
    return Hypothesis(cls, label, text, result, attrs if carries else {})


def _roundings(case: LayerCase, prefixes: tuple[str, ...]) -> Iterator[Hypothesis]:
    for prefix in prefixes:
        name = f"{prefix}rounding"
        old = case.node.attrs.get(name)
        if old is None:
            needed = case.node.attrs.get(f"{prefix.removesuffix('high_')}requant", "none")
            if needed == "none" or ("high" in prefix and needed != "double_round"):
                continue
            old = "half_up"
        for value in ROUNDINGS:
            if value == "add_half_trunc" and case.node.op != "Quantize":
                continue  # of exact integers the same as half_away
            if value != old:
                tie = value in TIES and old in TIES
                yield _attribute(
                    case,
                    "TIE_ROUNDING" if tie else "TRUNCATION",
                    value.upper(),
                    {name: value},
                    f"{name} {old} -> {value}",
                )


def _stagings(case: LayerCase) -> Iterator[Hypothesis]:
    """The same factor applied in another way: one rounding or two, integer or binary32 factor, another precision."""
    kind, factors = case.attribute("requant"), case.factors
    if factors is None:
        return
    flat = factors.reshape(-1)
    if kind != "float_scale":
        for rounding in ("half_even", "half_away", "half_up"):
            attrs = {"requant": "float_scale", "rounding": rounding}
            text = f"float requantization: the sum times a binary32 factor ({rounding}) in place of {kind}"
            yield _attribute(case, "MULTIPLIER", "FLOAT32_SCALE", attrs, text)
    if kind != "double_round":
        for rounding in ("half_away", "half_up"):
            attrs = {"requant": "double_round", "rounding": rounding}
            text = f"{kind} -> high multiply, then shift ({rounding})"
            yield _attribute(case, "DOUBLE_ROUNDING", "HIGH_MULTIPLY", attrs, text)
    else:
        for rounding in ("half_up", "half_away"):
            attrs = {"requant": "multiplier_shift", "rounding": rounding}
            yield _attribute(case, "DOUBLE_ROUNDING", "SINGLE", attrs, f"double_round -> one rounding ({rounding})")
    yield from _two_steps(case)
    for bits in (8, 15, 16, 24, 31):
        for truncated in (False, True):
            yield from _precision(case, flat, bits, truncated)


def _pool_divisors(case: LayerCase) -> Iterator[Hypothesis]:
    """An average pool that divides by the number of taps in place of its integer factor."""
    if case.node.op != "AvgPool2d" or case.attribute("requant") == "divide":
        return
    for rounding in ("half_up", "half_away", "half_even", "floor", "toward_zero"):
        for counted in (1, 0):
            attrs = {"requant": "divide", "rounding": rounding, "count_include_pad": counted}
            taps = "all taps" if counted else "the taps inside the input"
            text = f"exact division by {taps} ({rounding})"
            yield _attribute(case, "PAD_EDGE", "POOL_DIVISOR", attrs, text)


def _two_steps(case: LayerCase) -> Iterator[Hypothesis]:
    """A shift done in two parts, each rounded: R(R(v, n - k), k)."""
    if case.sums is None or case.attribute("requant") not in ("shift", "multiplier_shift"):
        return
    shifts = np.array(case.attribute("shift"))
    rounding = case.attribute("rounding")
    for first_rounding in dict.fromkeys((rounding, "floor")):
        for k in range(1, int(min(shifts.max(initial=0), 9))):
            first = {"shift": (shifts - k).tolist(), "zero_point": 0, "clamp_min": None, "clamp_max": None}
            high = case.stage(case.sums, {**first, "rounding": first_rounding}, dtype="int64")
            if high is None:
                continue
            result = case.stage(high, {"acc": "exact64", "requant": "shift", "shift": [k]})
            text = f"shift in two steps, the last {k} bits apart ({first_rounding}, then {rounding})"
            yield Hypothesis("DOUBLE_ROUNDING", f"K{k}", text, result)


def _precision(case: LayerCase, factors: Any, bits: int, truncated: bool) -> Iterator[Hypothesis]:
    if case.attribute("requant") == "shift":
        return
    mantissa, exponent = np.frexp(factors)
    scaled = mantissa * 2.0 ** (bits - 1)  # 2^(bits-2) .. 2^(bits-1): a signed multiplier of so many bits
    multiplier = np.trunc(scaled) if truncated else np.floor(scaled + 0.5)
    shift = bits - 1 - exponent
    if shift.min() < -62 or shift.max() > 62 or multiplier.max() > 2**31 - 1:
        return
    how = "truncated" if truncated else "rounded"
    attrs = {
        "requant": "multiplier_shift",
        "multiplier": multiplier.astype(np.int64).tolist(),
        "shift": shift.astype(np.int64).tolist(),
    }
    label = f"{'TRUNCATED' if truncated else 'ROUNDED'}_{bits}_BIT"
    yield _attribute(case, "MULTIPLIER", label, attrs, f"multiplier {how} to {bits} bits", carries=False)


def _numbers(case: LayerCase) -> Iterator[Hypothesis]:
    """Shifts, multipliers and zero points of the layer, off by one unit or left out."""
    for names, cls, label, deltas in (
        (NAMED_SHIFTS, "SCALE", "SHIFT", (1, -1)),
        (NAMED_MULTIPLIERS, "MULTIPLIER", "UNIT", (1, -1)),
        (NAMED_OFFSETS, "ZERO_POINT", "INPUT", (1, -1)),
    ):
        for name in names:
            old = case.node.attrs.get(name)
            if old is None:
                continue
            for changed, text in _changed_numbers(old, deltas, zero=cls == "ZERO_POINT"):
                yield _attribute(case, cls, label, {name: changed}, f"{name} {text}", carries=False)


def _changed_numbers(old: Any, deltas: tuple[int, ...], zero: bool) -> Iterator[tuple[Any, str]]:
    entries = list(old) if isinstance(old, list | tuple | np.ndarray) else [old]
    pack = (lambda v: v) if isinstance(old, list | tuple | np.ndarray) else (lambda v: v[0])
    for delta in deltas:
        yield (
            pack([int(v) + delta for v in entries]),
            f"{delta:+d}" if len(entries) > 1 else _from_to(entries[0], delta),
        )
    if zero and any(entries):
        yield pack([0] * len(entries)), "left out (0)"
        yield pack([-int(v) for v in entries]), "with the other sign"
    if 1 < len(entries) <= MOST_ENTRIES:
        for position in range(len(entries)):
            for delta in deltas:
                changed = [int(v) + (delta if i == position else 0) for i, v in enumerate(entries)]
                yield pack(changed), f"{_from_to(entries[position], delta)} of input {position}"
        for position in range(len(entries) - 1):
            swapped = list(entries)
            swapped[position : position + 2] = swapped[position + 1], swapped[position]
            if swapped != entries:
                yield pack([int(v) for v in swapped]), f"of inputs {position} and {position + 1} exchanged"


def _from_to(old: Any, delta: int) -> str:
    return f"{int(old)} -> {int(old) + delta}"
