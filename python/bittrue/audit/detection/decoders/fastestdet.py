"""FastestDet: one output (1, 5 + classes, H, W): objectness, box, class scores of each cell.

Source: its public example (example/onnx-runtime/runtime.py): score = objectness^0.6 * class^0.4, centre = cell + tanh,
size = sigmoid, all as fractions of the input; suppression does not ask for the class.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bittrue.audit.detection.boxes import Detections, suppressed
from bittrue.audit.detection.decoders import Array, Limits, Size, decoder
from bittrue.errors import DataError


@decoder("fastestdet", "[1, 5 + classes, H, W]: objectness, box, classes of each cell (FastestDet)", 0.45)
def fastestdet(outputs: Mapping[str, Array], size: Size, limits: Limits) -> Detections:
    values = [np.asarray(v, np.float32) for v in outputs.values()]
    if len(values) != 1 or values[0].ndim != 4 or values[0].shape[0] != 1 or values[0].shape[1] < 6:
        raise DataError("one output [1, 5 + classes, H, W] is needed")
    _, channels, rows, columns = values[0].shape
    cells = values[0][0].reshape(channels, -1).T
    corner = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
    centre = (corner + np.tanh(cells[:, 1:3])) / np.asarray([columns, rows], np.float32)
    half = 0.5 / (1 + np.exp(-cells[:, 3:5]))
    classes = cells[:, 5:].argmax(1)
    scores = np.maximum(cells[:, 0], 0) ** np.float32(0.6) * np.maximum(cells[:, 5:].max(1), 0) ** np.float32(0.4)
    boxes = np.concatenate([centre - half, centre + half], 1).astype(np.float32)
    return suppressed(boxes, scores, limits.least, limits.most, classes=classes)
