"""Boxes between the networks of a cascade: (K, 4) float64, (xmin, ymin, xmax, ymax)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def moved(boxes: Array, offsets: Array) -> Array:
    """Corners moved by fractions of the width and the height of their box."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.tile(sides, 2)


def squared(boxes: Array) -> Array:
    """The square of the longer side around the same centre."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], 1)


def kept(boxes: Array, scores: Array, most: float, *, of_smaller: bool = False) -> Array:
    """Indices of the boxes that greedy suppression keeps, the best score first, equal scores by index.

    A box is kept if it shares at most `most` with every box kept before: the intersection over the union, or over the
    smaller of both (`of_smaller`).
    """
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), 1)
    left = np.argsort(-scores, kind="stable")
    result: list[int] = []
    while left.size:
        best, left = left[0], left[1:]
        result.append(int(best))
        sides = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2])
        common = np.prod(np.maximum(sides, 0), 1)
        whole = np.minimum(area[best], area[left]) if of_smaller else area[best] + area[left] - common
        left = left[common <= most * whole]
    return np.asarray(result, np.int64)
