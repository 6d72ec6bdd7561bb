"""Hints for misspelled names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'a' or 'b'?`, or nothing if no known name is near."""
    close = difflib.get_close_matches(name, list(known), 3, 0.5)
    return f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
