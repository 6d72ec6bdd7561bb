"""Detections of one picture, and how much boxes overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.calibrate.placement import Placement
from bittrue.ops.boxes import overlap, suppress

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Detections:
    """K objects found in a picture.

    boxes: (K, 4) float64, (xmin, ymin, xmax, ymax); scores: (K,) float64; classes: (K,) integers; points: (K, P, 2),
    landmarks of each object, P may be 0. What the coordinates count is said where they come from.
    """

    boxes: Array
    scores: Array
    classes: Array
    points: Array

    @staticmethod
    def of(boxes: Any, scores: Any, classes: Any = None, points: Any = None) -> Detections:
        """From sequences of the shapes above; default: class 0, no landmarks."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        classes = np.zeros(len(boxes), np.int64) if classes is None else np.asarray(classes, np.int64)
        points = np.zeros((len(boxes), 0, 2)) if points is None else np.asarray(points, np.float64)
        return Detections(boxes, np.asarray(scores, np.float64).reshape(len(boxes)), classes, points)

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, which: Any) -> Detections:
        """Those of a mask or of indices, in that order."""
        return Detections(self.boxes[which], self.scores[which], self.classes[which], self.points[which])

    def at_least(self, score: float) -> Detections:
        """Those of a score of at least `score`."""
        return self.take(self.scores >= score)

    def on_picture(self, place: Placement) -> Detections:
        """Fractions of a network's input as pixels of the picture on it; boxes end at its edges, and those wholly
        outside are left out."""
        corners = place.to_picture(self.boxes.reshape(-1, 2, 2))
        corners = np.clip(corners, 0, place.picture)
        inside = (corners[:, 1] > corners[:, 0]).all(1)
        moved = Detections(corners.reshape(-1, 4), self.scores, self.classes, place.to_picture(self.points))
        return moved.take(inside)


def overlaps(a: Array, b: Array) -> Array:
    """Intersection over union (N, M) of boxes (N, 4) with boxes (M, 4), in double."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    return np.stack([overlap(box, np.asarray(b, np.float64)) for box in np.asarray(a, np.float64)])


def suppressed(
    boxes: Array,
    scores: Array,
    least: float,
    most: float,
    *,
    candidates: int = -1,
    classes: Array | None = None,
    points: Array | None = None,
) -> Detections:
    """Objects that greedy suppression keeps, the best first, whatever their class.

    boxes: (N, 4) float32; scores: (N,); classes: (N,); points: (N, P, 2). least: lowest score kept. most: largest
    overlap of two objects. candidates: how many boxes of the best scores are looked at (-1: all).
    """
    below = np.nextafter(np.float32(least), np.float32(-np.inf))  # `suppress` takes scores above its limit
    kept = suppress(boxes, scores, below, candidates, most, 1.0)
    return Detections.of(boxes, scores, classes, points).take(kept)
