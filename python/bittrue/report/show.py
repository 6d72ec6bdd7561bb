"""How numbers and names are written in the reports."""

from __future__ import annotations

import math
import re
from typing import Any

from jinja2 import Undefined

# Control characters, lone surrogates, and the marks that reorder text: no format can show them, some cannot hold them.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def printable(text: Any) -> str:
    """Text with every unprintable character replaced; newlines and tabs stay."""
    return UNPRINTABLE.sub("\ufffd", str(text))


def one_line(text: Any) -> str:
    """Printable text with white space joined, as names in tables need it."""
    return " ".join(printable(text).split())


def parse_number(value: Any) -> float | None:
    """A number of the stored form; None for absent values and for text that is no number."""
    try:
        return None if value is None or isinstance(value, Undefined) else float(value)
    except (TypeError, ValueError):
        return None


def finite(value: Any) -> float | None:
    """A finite number of the stored form, else None."""
    number = parse_number(value)
    return number if number is not None and math.isfinite(number) else None


def show_number(value: Any, digits: int = 4) -> str:
    """Significant digits; whole numbers in full with thousands separated."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace("-", "−")
    number = parse_number(value)
    if number is None or math.isnan(number):
        return "–" if number is None else "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number.is_integer() and abs(number) < 1e15:
        return f"{number:,.0f}".replace("-", "−")
    return f"{number:.{digits}g}".replace("-", "−")


def show_percent(value: Any, digits: int = 2) -> str:
    """A share of one as percent. Only a true 1 reads as 100 %, only a true 0 as 0 %."""
    number = finite(value)
    if number is None:
        return "–"
    step = 10.0**-digits
    if number < 1 and round(100 * number, digits) >= 100:
        return f"> {100 - step:.{digits}f} %"
    if number > 0 and round(100 * number, digits) <= 0:
        return f"< {step:.{digits}f} %"
    return f"{100 * number:.{digits}f} %"


def show_cosine(value: Any) -> str:
    """Six digits. Only 1, up to the rounding of its own double arithmetic, reads as 1."""
    number = finite(value)
    if number is None:
        return show_number(value)
    if number < 1 - 1e-12 and round(number, 6) >= 1:
        return "> 0.999999"
    return f"{number:.6f}".replace("-", "−")


def show_db(value: Any) -> str:
    """Decibels with one digit; `exact` without noise."""
    number = parse_number(value)
    if number is None or math.isnan(number):
        return "–"
    if math.isinf(number):
        return "exact" if number > 0 else "−∞"
    return f"{number:.1f}".replace("-", "−")


def show_p(value: Any) -> str:
    """A probability of a test."""
    number = finite(value)
    if number is None:
        return "–"
    return "< 0.001" if number < 0.001 else f"{number:.3f}"


def shorten(text: Any, length: int = 40) -> str:
    """Long names lose their middle; the end, which tells them apart, keeps more."""
    text = one_line(text)
    if len(text) <= length:
        return text
    tail = (length - 1) * 3 // 5
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def number(value: Any, form: str = ".2f") -> str:
    """A number of a fresh or stored result (non-finite ones are stored as text), `-` where there is none."""
    return "-" if value is None else format(float(value), form)
