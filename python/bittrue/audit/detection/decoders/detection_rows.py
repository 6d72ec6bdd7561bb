"""Rows of seven numbers, as the detection layers of Caffe networks return them: the network has decoded already."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bittrue.audit.detection.boxes import Detections
from bittrue.audit.detection.decoders import Array, Limits, Size, decoder
from bittrue.errors import DataError


def _rows(outputs: Mapping[str, Array]) -> Array:
    """Rows in use of the one output that has seven columns; unused ones have the class -1."""
    rows = [np.asarray(v) for v in outputs.values() if v.ndim == 4 and v.shape[:2] == (1, 1) and v.shape[3] == 7]
    if len(rows) != 1:
        raise DataError("one output [1, 1, K, 7] is needed")
    flat = rows[0].reshape(-1, 7)
    used = flat[flat[:, 1] >= 0]
    if np.any(used[:, 0] != 0):
        raise DataError("the rows are of more than one picture")
    return used


@decoder("ssd", "[1, 1, K, 7] of DetectionOutput: image, class, score, corners (Caffe-SSD's source)")
def ssd(outputs: Mapping[str, Array], size: Size, limits: Limits) -> Detections:
    rows = _rows(outputs)
    return Detections.of(rows[:, 3:], rows[:, 2], rows[:, 1]).at_least(limits.least)


@decoder("yolo", "[1, 1, K, 7] of Yolov3DetectionOutput: image, class, score, centre and size (Sophgo's documentation)")
def yolo(outputs: Mapping[str, Array], size: Size, limits: Limits) -> Detections:
    rows = _rows(outputs).astype(np.float64)
    half = rows[:, 5:] / 2
    corners = np.concatenate([rows[:, 3:5] - half, rows[:, 3:5] + half], 1)
    return Detections.of(corners, rows[:, 2], rows[:, 1]).at_least(limits.least)
