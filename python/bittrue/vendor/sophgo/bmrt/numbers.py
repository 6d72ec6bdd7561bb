"""Numbers as the C and C++ libraries read and print them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np


def atoi(text: str) -> int:
    """The leading integer of a text, 0 without one."""
    found = re.match(r"\s*[+-]?\d+", text)
    return int(found.group()) if found else 0


def atof(text: str) -> float:
    """The leading decimal number of a text, 0 without one."""
    found = re.match(r"\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)", text, re.IGNORECASE)
    return float(found.group()) if found else 0.0


def number(value: Any, form: str = "g") -> str:
    """An integer in full; a float by `form` (default: 6 significant digits, as a stream prints), NaN with its sign."""
    if isinstance(value, np.integer):
        return str(int(value))
    if np.isnan(value):
        return "-nan" if np.signbit(value) else "nan"
    return format(float(value), form)


def numbers(values: np.ndarray[Any, Any]) -> list[str]:
    """`number` of every element, in row-major order."""
    flat = values.reshape(-1)
    if flat.dtype.kind in "iu":
        return [str(v) for v in flat.tolist()]
    texts = [f"{v:g}" for v in flat.astype(np.float64).tolist()]
    for k in np.flatnonzero(np.isnan(flat)):
        texts[k] = number(flat[k])
    return texts


def shape_text(shape: Iterable[int]) -> str:
    """`1 3 16 16 `"""
    return "".join(f"{d} " for d in shape)
