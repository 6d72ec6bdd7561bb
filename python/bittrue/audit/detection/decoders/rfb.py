"""Ultra-Light-Fast-Generic-Face-Detector-1MB (RFB and slim): `scores` (1, N, 2) after softmax, `boxes` (1, N, 4).

Source of priors, variances and suppression: its public code (vision/utils/box_utils.py and
vision/ssd/config/fd_config.py). Faces are class 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bittrue.audit.detection.boxes import Detections, suppressed
from bittrue.audit.detection.decoders import Array, Limits, Size, decoder, rows_of
from bittrue.errors import DataError

# stride of a feature map -> sides of its priors in pixels
PRIORS = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
OVERLAP, CANDIDATES = 0.3, 200


def priors(size: Size) -> Array:
    """Centres and sizes (N, 4) as fractions of an input of (width, height) pixels, cut to 0 .. 1. The cells of a map
    share the input evenly, also where a stride does not divide it."""
    width, height = size
    maps = [(math.ceil(width / stride), math.ceil(height / stride), sides) for stride, sides in PRIORS.items()]
    rows = [
        ((column + 0.5) / columns, (row + 0.5) / lines, side / width, side / height)
        for columns, lines, sides in maps
        for row in range(lines)
        for column in range(columns)
        for side in sides
    ]
    return np.clip(np.asarray(rows, np.float32), 0, 1)


def _faces(boxes: Array, scores: Array, limits: Limits) -> Detections:
    classes = np.ones(len(boxes), np.int64)
    return suppressed(boxes, scores[:, 1], limits.least, limits.most, candidates=CANDIDATES, classes=classes)


@decoder("rfb", "scores [1, N, 2], boxes [1, N, 4] decoded in the network (Ultra-Light face detector)", OVERLAP)
def rfb(outputs: Mapping[str, Array], size: Size, limits: Limits) -> Detections:
    boxes, scores = rows_of(outputs, "boxes", 4), rows_of(outputs, "scores", 2)
    if len(boxes) != len(scores):
        raise DataError("as many scores as boxes are needed")
    return _faces(boxes, scores, limits)


@decoder("rfb-raw", "the same without post-processing: boxes relative to the priors", OVERLAP)
def rfb_raw(outputs: Mapping[str, Array], size: Size, limits: Limits) -> Detections:
    boxes, scores = rows_of(outputs, "boxes", 4), rows_of(outputs, "scores", 2)
    prior = priors(size)
    if not len(boxes) == len(scores) == len(prior):
        raise DataError(f"an input of {size[0]} x {size[1]} has {len(prior)} priors")
    centre = boxes[:, :2] * np.float32(CENTRE_VARIANCE) * prior[:, 2:] + prior[:, :2]
    half = np.exp(boxes[:, 2:] * np.float32(SIZE_VARIANCE)) * prior[:, 2:] / 2
    return _faces(np.concatenate([centre - half, centre + half], 1), scores, limits)
