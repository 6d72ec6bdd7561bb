"""Boxes of detection layers: overlap and greedy suppression by Caffe-SSD's rules, every step one rounding to binary32.

Corners are (xmin, ymin, xmax, ymax).
"""

from __future__ import annotations

import numpy as np

from bittrue.ops.registry import Array

F = np.float32


def area(boxes: Array) -> Array:
    """Areas of boxes (.., 4); 0 for inverted boxes."""
    w, h = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return np.where((w < 0) | (h < 0), F(0), w * h)


def overlap(box: Array, others: Array) -> Array:
    """Intersection over union of a box (4) with others (n, 4); 0 unless the intersection has a positive area, so also
    where a coordinate is NaN."""
    with np.errstate(all="ignore"):
        sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
        common = sides[:, 0] * sides[:, 1]
        union = (area(box) + area(others)) - common
        return np.where((sides > 0).all(1), common / union, F(0))


def suppress(boxes: Array, scores: Array, least: float, limit: int, most: float, eta: float) -> list[int]:
    """Indices of the boxes that greedy suppression keeps, the best first.

    Candidates: scores above `least`, by falling score, equal scores by index, at most `limit` (-1: all). A candidate is
    kept if its overlap with every box kept before is at most `most`, which each kept box multiplies by `eta` while it
    is above 0.5 (eta < 1).
    """
    candidates = np.flatnonzero(scores > F(least))
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    kept: list[int] = []
    threshold = F(most)
    for i in candidates if limit < 0 else candidates[:limit]:
        if np.all(overlap(boxes[i], boxes[kept]) <= threshold):
            kept.append(int(i))
            if eta < 1 and threshold > F(0.5):
                threshold = threshold * F(eta)
    return kept
