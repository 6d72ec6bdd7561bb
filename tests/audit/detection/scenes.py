"""Random pictures of objects, and what a detector might say of them."""

from __future__ import annotations

import numpy as np

from bittrue.audit.detection.average_precision import Truth
from bittrue.audit.detection.boxes import Detections

Scene = tuple[Detections, Truth]


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.integers(0, 40, (count, 2))
    return np.concatenate([low, low + rng.integers(1, 30, (count, 2))], 1).astype(np.float64)


def scene(rng: np.random.Generator, classes: int = 2, crowds: bool = True, ties: bool = True) -> Scene:
    """Objects, and detections of which some lie near an object. ties: whether scores may be equal."""
    objects = boxes(rng, rng.integers(0, 5))
    near = objects[rng.integers(0, len(objects), rng.integers(0, 8))] if len(objects) else objects
    found = np.concatenate([near + rng.integers(-2, 3, near.shape), boxes(rng, rng.integers(0, 3))])
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    scores = rng.integers(0, 6, len(found)) / 5 if ties else rng.permutation(len(found)) / 8 + rng.random() / 100
    truth = Truth.of(
        objects,
        rng.integers(0, classes, len(objects)),
        crowd=rng.random(len(objects)) < 0.2 if crowds else None,
    )
    return Detections.of(found, scores, rng.integers(0, classes, len(found))), truth
