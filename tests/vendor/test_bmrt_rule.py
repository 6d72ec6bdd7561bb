"""The tester's compare rule against a literal transcription in plain Python, element by element."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bittrue.vendor.sophgo.bmrt.rule import compare

EDGES = [0.0, -0.0, 1.0, -1.0, 1.0000001, 0.99, 1.5, 1.516, 1.5149, 1e-21, 1e-19, 3e38, math.inf, -math.inf, math.nan]
values = st.one_of(st.sampled_from(EDGES), st.floats(-3, 3, width=32), st.floats(width=32))


def tensors(dtype: type) -> st.SearchStrategy[np.ndarray]:
    width = 8 * np.dtype(dtype).itemsize
    edges = st.sampled_from(np.array(EDGES, np.float32)).map(float)
    elements = st.one_of(edges, st.floats(-3, 3, width=width), st.floats(width=width))  # type: ignore[arg-type]

    def array(values: list[float]) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.array(values, np.float64).astype(dtype)

    return st.lists(elements, min_size=40, max_size=40).map(array)


def larger(a: float, b: float) -> float:
    return b if a < b else a


def smaller(a: float, b: float) -> float:
    return b if b < a else a


LABEL = "error comparing the last tensor: "


def printed(value: float, digits: int) -> str:
    """As printf does, which prints the sign of a NaN."""
    return ("-nan" if math.copysign(1, value) < 0 else "nan") if math.isnan(value) else f"{value:.{digits}f}"


def transcription(e: np.ndarray, g: np.ndarray, delta: float) -> tuple[bool, list[tuple[str, str]]]:
    """(passed, lines printed), as the tester's loop does it."""
    count = 0
    lines: list[tuple[str, str]] = []
    for i, (a, b) in enumerate(zip(e, g, strict=True)):
        with np.errstate(all="ignore"):
            difference = abs(float(np.float32(a) - np.float32(b)))
        expected, got = float(a), float(b)
        values = f"warning at index {i} exp {printed(expected, 20)} got {printed(got, 20)}"
        if larger(abs(expected), abs(got)) > 1.0:
            least = smaller(abs(expected), abs(got))
            if least < 1e-20:
                count += 1
                lines.append(("array_cmp_fp32:95", f"{LABEL} rel {values}"))
            if divide(difference, least) > delta:
                count += 1
                lines.append(("array_cmp_fp32:101", f"{LABEL} rel {values}"))
        elif difference > delta:
            count += 1
            lines.append(("array_cmp_fp32:108", f"{LABEL} abs {values}"))
        if math.isnan(got) and not math.isnan(expected):
            bits = [int.from_bytes(struct.pack("<f", v), "little") for v in (expected, got)]
            lines.append(("array_cmp_fp32:117", f"There are nans in {LABEL} idx {i}"))
            lines.append(
                ("array_cmp_fp32:118", f"floating form exp {printed(expected, 10)} got {printed(got, 10)}"),
            )
            lines.append(("array_cmp_fp32:119", f"hex form exp {bits[0]:08x} got {bits[1]:08x}"))
            return False, lines
        if count >= 31:
            return False, lines
    return count == 0, lines


def divide(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.inf
    return a / b


@given(
    st.sampled_from([np.float32, np.float16]).flatmap(lambda t: st.tuples(tensors(t), tensors(t))),
    st.sampled_from([0.01, 0.5, 0.0]),
)
@settings(max_examples=200)
def test_floats(pair: tuple[np.ndarray, np.ndarray], accuracy: float) -> None:
    """The verdict and every line that is printed; 16-bit floats are widened first."""
    e, g = pair
    delta = float(np.float32(accuracy))
    result = compare(e, g, delta, 0)
    assert (result.passed, result.lines) == transcription(e.astype(np.float32), g.astype(np.float32), delta)


@given(arrays(np.float32, 40, elements=values), st.integers(0, 2))
def test_close_floats(e: np.ndarray, steps: int) -> None:
    g = (e.view(np.int32) + np.int32(steps)).view(np.float32)
    assert compare(e, g, 0.5, 0).passed == transcription(e, g, 0.5)[0]


@pytest.mark.parametrize(
    ("e", "g", "passed"),
    [(1.5, 1.516, False), (1.5, 1.5149, True), (0.5, 0.511, False), (math.nan, 1.0, True), (math.nan, math.nan, True),
     (math.inf, -math.inf, True), (math.inf, math.inf, True), (1.0, math.nan, False), (math.inf, 1.0, False)],
)  # fmt: skip
def test_measured_cases(e: float, g: float, passed: bool) -> None:
    assert compare(np.float32([e]), np.float32([g]), float(np.float32(0.01)), 0).passed == passed


def test_printed_lines() -> None:
    result = compare(np.float32([0, 0, 0, 2.78424382209777832031]), np.float32([5, 0, 0, -2.25]), 0.01, 0)
    assert [w for w, _ in result.lines] == ["array_cmp_fp32:95", *["array_cmp_fp32:101"] * 2]
    assert result.lines[2][1] == (
        "error comparing the last tensor:  rel warning at index 3 "
        "exp 2.78424382209777832031 got -2.25000000000000000000"
    )
    assert compare(np.float32([1]), np.float32([-1e-9]), 1.0, 0).passed  # the binary32 difference is exactly 1
    assert len(compare(np.zeros(99, np.float32), np.ones(99, np.float32), 0.01, 0).lines) == 31
    only_warn = compare(np.zeros(9, np.float32), np.ones(9, np.float32), 10000.0, 0)
    assert only_warn.passed and len(only_warn.lines) == 9


@given(arrays(np.int8, 50), arrays(np.int8, 50), st.integers(0, 300))
def test_bytes(e: np.ndarray, g: np.ndarray, accuracy: int) -> None:
    wrong = [k for k in range(50) if abs(int(e[k]) - int(g[k])) > accuracy]
    result = compare(e, g, 0.01, accuracy)
    assert result.passed == (not wrong) and len(result.lines) == min(30, len(wrong))


WIDE = st.sampled_from([-(2**31), 2**31 - 1, 0, 1, -1, 5])


@given(arrays(np.int32, 6, elements=WIDE), arrays(np.int32, 6, elements=WIDE), st.integers(0, 2), st.booleans())
def test_words(e: np.ndarray, g: np.ndarray, accuracy: int, unsigned: bool) -> None:
    def magnitude(a: Any, b: Any) -> int:
        wrapped = (int(a) - int(b) + 2**31) % 2**32 - 2**31
        return wrapped if wrapped == -(2**31) else abs(wrapped)

    wrong = [k for k in range(6) if magnitude(e[k], g[k]) > accuracy]
    if unsigned:
        e, g = e.view(np.uint32), g.view(np.uint32)
    result = compare(e, g, 0.01, accuracy)
    assert result.passed == (not wrong) and len(result.lines) == min(1, len(wrong))


@pytest.mark.parametrize(
    ("e", "g", "accuracy", "remark"),
    [
        (np.int32([-(2**31)]), np.int32([0]), 0, "overflow"),
        (np.uint32([2**31]), np.uint32([0]), 0, "overflow"),
        (np.int32([-(2**31)]), np.int32([2**31 - 1]), 1, "overflow"),
        (np.float32([0, np.nan]), np.float32([0, 3]), 0, "expected NaN at index 1"),
        (np.float32([np.inf]), np.float32([-np.inf]), 0, "different sign at index 0"),
    ],
)
def test_false_passes_are_named(e: np.ndarray, g: np.ndarray, accuracy: int, remark: str) -> None:
    result = compare(e, g, 0.01, accuracy)
    assert result.passed and remark in result.wrongly_passed[0]


def test_half_precision_is_widened() -> None:
    assert compare(np.float16([1.5]), np.float16([1.51]), 0.01, 0).passed
    assert not compare(np.float16([1.5]), np.float16([1.6]), 0.01, 0).passed
    assert not compare(np.int16([1, 2, 3]), np.int16([1, 5, 6]), 0.01, 2).passed
