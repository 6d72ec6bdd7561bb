"""A second look at an output that differs: which elements, and whether only the order of its rows does."""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.verify.metrics import bad_elements
from bittrue.verify.policy import EXACT, Policy, TensorFacts
from bittrue.verify.verdict import PASSING, judge_pair

Array = np.ndarray[Any, Any]


def element_lines(expected: Array, got: Array, most: int) -> list[str]:
    """`[0, 1, 2, 3]: expected 1.5, got 1.25` of the first `most` elements that differ, and how many more there are."""
    bad = np.flatnonzero(bad_elements(expected, got).reshape(-1))
    lines = []
    for k in bad[:most]:
        place = ", ".join(str(int(i)) for i in np.unravel_index(k, expected.shape))
        lines.append(f"[{place}]: expected {expected.flat[k]}, got {got.flat[k]}")
    if 0 < most < len(bad):
        lines.append(f"and {len(bad) - most} more")
    return lines


def only_order_differs(expected: Array, got: Array, policy: Policy = EXACT) -> bool:
    """Whether the rows along the last axis are the same under the policy, but in another order.

    Rows move within each of the leading blocks; an array of one dimension has rows of one element. False for arrays
    that are the same in their order, and for other shapes or types.
    """
    if expected.shape != got.shape or expected.dtype != got.dtype or not expected.size:
        return False
    facts = TensorFacts(name="", dtype=expected.dtype.name, role="output")
    if judge_pair(expected, got, facts, policy)[0].word in PASSING:
        return False
    rows, width = expected.shape[-2:] if expected.ndim > 1 else (expected.size, 1)
    ordered = []
    for array in (expected, got):
        blocks = np.ascontiguousarray(array).reshape(-1, rows, width)
        keys = blocks.astype(np.float64)
        ordered.append(np.stack([b[np.lexsort(k.T[::-1])] for b, k in zip(blocks, keys, strict=True)]))
    return judge_pair(ordered[0], ordered[1], facts, policy)[0].word in PASSING
