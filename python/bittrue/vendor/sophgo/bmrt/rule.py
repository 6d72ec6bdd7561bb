"""The tester's compare rule, measured on the original compare code (docs/bmrt_test.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bittrue.vendor.sophgo.bmrt.numbers import number

Array = np.ndarray[Any, Any]
LABEL = "error comparing the last tensor: "
LARGEST_FLOAT_ERRORS, LARGEST_BYTE_ERRORS = 31, 30
ONLY_WARN = 10000.0  # this tolerance prints what 0.01 refuses and counts nothing but NaN


@dataclass
class Comparison:
    """lines: (where, text) of the errors printed. passed: the tester's verdict. wrongly_passed: what it passes although
    it is wrong, in words."""

    passed: bool = True
    lines: list[tuple[str, str]] = field(default_factory=list)
    wrongly_passed: list[str] = field(default_factory=list)

    def error(self, where: str, text: str) -> None:
        self.lines.append((where, f"{LABEL} {text}"))


def compare(expected: Array, got: Array, accuracy_f: float, accuracy_i: int) -> Comparison:
    """Flat arrays of one type and length. accuracy_f: the option after its conversion to binary32."""
    e, g = expected.reshape(-1), got.reshape(-1)
    if e.dtype.kind in "iub":
        return _bytes(e, g, accuracy_i) if e.dtype.itemsize == 1 else _words(e, g, accuracy_i)
    return _floats(e.astype(np.float32), g.astype(np.float32), accuracy_f)


def _floats(e: Array, g: Array, accuracy: float) -> Comparison:
    """float16 and bfloat16 arrive widened. The difference is rounded to binary32, all else is in double."""
    result = Comparison()
    counting = accuracy != ONLY_WARN
    delta = accuracy if counting else float(np.float32(0.01))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        a, b = np.abs(e).astype(np.float64), np.abs(g).astype(np.float64)
        larger, smaller = np.where(a < b, b, a), np.where(b < a, b, a)
        difference = np.abs((e - g).astype(np.float64))
        relative = larger > 1.0
        tiny = relative & (smaller < 1e-20)
        far = relative & (difference / smaller > delta)
        wide = ~relative & (difference > delta)
    stops = np.isnan(g) & ~np.isnan(e)
    count = 0
    for i in np.flatnonzero(tiny | far | wide | stops):
        values = f"at index {i} exp {number(e[i], '.20f')} got {number(g[i], '.20f')}"
        found = [("array_cmp_fp32:95", "rel")] * bool(tiny[i]) + [("array_cmp_fp32:101", "rel")] * bool(far[i])
        found += [("array_cmp_fp32:108", "abs")] * bool(wide[i])
        for where, kind in found:
            result.error(where, f"{kind} warning {values}")
        count += len(found) if counting else 0
        if stops[i]:
            result.passed = False
            result.lines += [
                ("array_cmp_fp32:117", f"There are nans in {LABEL} idx {i}"),
                ("array_cmp_fp32:118", f"floating form exp {number(e[i], '.10f')} got {number(g[i], '.10f')}"),
                ("array_cmp_fp32:119", f"hex form exp {_bits(e[i]):08x} got {_bits(g[i]):08x}"),
            ]
            return result
        if count >= LARGEST_FLOAT_ERRORS:
            break
    result.passed = count == 0
    _note(result, np.isnan(e), "expected NaN at index {}")
    _note(result, np.isinf(e) & np.isinf(g) & (e != g), "infinities of different sign at index {}")
    return result


def _bits(value: Any) -> int:
    return int(np.float32(value).view(np.uint32))


def _note(result: Comparison, where: Array, text: str) -> None:
    found = np.flatnonzero(where)
    if found.size:
        result.wrongly_passed.append(text.format(found[0]))


def _bytes(e: Array, g: Array, accuracy: int) -> Comparison:
    result = Comparison()
    difference = np.abs(e.astype(np.int64) - g.astype(np.int64))
    for i in np.flatnonzero(difference > accuracy)[:LARGEST_BYTE_ERRORS]:
        result.passed = False
        result.error(
            "array_cmp_fix8b:190",
            f"error at index {i:3d}: [exp {int(e[i]):3d}, got {int(g[i]):3d}] diff={int(difference[i]):2d} "
            f"(delta={accuracy})",
        )
    return result


def _words(e: Array, g: Array, accuracy: int) -> Comparison:
    """16 and 32 bits; unsigned 32-bit values are compared as signed ones, and differences wrap."""
    result = Comparison()
    if e.dtype.itemsize == 2:
        where, wide = "array_cmp_fix16b:221", (e.astype(np.int64), g.astype(np.int64))
    else:
        where, wide = "array_cmp_fix32b:246", (e.view(np.int32).astype(np.int64), g.view(np.int32).astype(np.int64))
    exact = np.abs(wide[0] - wide[1])
    wrapped = (wide[0] - wide[1]).astype(np.int32) if e.dtype.itemsize == 4 else wide[0] - wide[1]
    # The magnitude of the lowest 32-bit value overflows to itself, which no tolerance is below.
    magnitude = np.where(wrapped == np.iinfo(np.int32).min, wrapped, np.abs(wrapped)).astype(np.int64)
    errors = np.flatnonzero(magnitude > accuracy)
    if errors.size:
        i = errors[0]
        result.passed = False
        shown = (int(wide[0][i]), int(wide[1][i]))
        result.error(where, f"error at index {i} exp {shown[0]} got {shown[1]}")
    _note(result, (exact > accuracy) & (magnitude <= accuracy), "integer difference overflow at index {}")
    return result
