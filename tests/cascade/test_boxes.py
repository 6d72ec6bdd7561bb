"""Boxes between the networks of a cascade."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.cascade.boxes import kept, moved, squared


def share(a: np.ndarray, b: np.ndarray, of_smaller: bool) -> float:
    """By counting the cells of a grid."""
    grid = np.zeros((2, 24, 24), bool)
    for layer, (x0, y0, x1, y1) in zip(grid, (a.astype(int), b.astype(int)), strict=True):
        layer[y0:y1, x0:x1] = True
    whole = grid.sum((1, 2)).min() if of_smaller else (grid[0] | grid[1]).sum()
    return float((grid[0] & grid[1]).sum() / whole)


boxes_of = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(1, 12), st.integers(1, 12), st.integers(0, 5)),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(drawn=boxes_of, most=st.sampled_from([0.0, 0.3, 0.5, 0.7]), of_smaller=st.booleans())
def test_suppression(drawn: list[tuple[int, ...]], most: float, of_smaller: bool) -> None:
    rows = np.asarray(drawn, float).reshape(-1, 5)
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
    chosen: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (-rows[i, 4], i)):
        if all(share(boxes[i], boxes[j], of_smaller) <= most + 1e-12 for j in chosen):
            chosen.append(i)
    assert kept(boxes, rows[:, 4], most, of_smaller=of_smaller).tolist() == chosen


def test_moved_and_squared() -> None:
    boxes = np.asarray([[10.0, 20, 30, 60]])
    assert moved(boxes, np.asarray([[0.1, -0.25, 0.5, 0]])).tolist() == [[12, 10, 40, 60]]
    assert squared(boxes).tolist() == [[0, 20, 40, 60]]
    assert squared(np.zeros((0, 4))).shape == moved(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0, 4)
