"""YuNet (libfacedetection): per stride 8, 16, 32 `cls`, `obj` (1, N, 1), `bbox` (1, N, 4), `kps` (1, N, 10).

Source: OpenCV's FaceDetectorYN (modules/objdetect/src/face_detect.cpp). Faces are class 0 and have five points: eyes,
nose, corners of the mouth.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bittrue.audit.detection.boxes import Detections, suppressed
from bittrue.audit.detection.decoders import Array, Limits, Size, decoder, rows_of
from bittrue.errors import DataError

STRIDES = (8, 16, 32)


def _level(outputs: Mapping[str, Array], size: Size, stride: int) -> tuple[Array, Array, Array]:
    """Corners (N, 4) and points (N, 5, 2) in pixels of the input, scores (N,) of one feature map."""
    columns, rows = size[0] // stride, size[1] // stride
    shapes = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    of = {n: rows_of(outputs, f"{n}_{stride}", width) for n, width in shapes.items()}
    if any(len(v) != rows * columns for v in of.values()):
        raise DataError(f"outputs of stride {stride} need {rows * columns} rows")
    cell = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2).astype(np.float32)
    centre, half = (cell + of["bbox"][:, :2]) * stride, np.exp(of["bbox"][:, 2:]) * stride / 2
    points = (of["kps"].reshape(-1, 5, 2) + cell[:, None]) * stride
    scores = np.sqrt(np.clip(of["cls"][:, 0], 0, 1) * np.clip(of["obj"][:, 0], 0, 1))
    return np.concatenate([centre - half, centre + half], 1), points, scores


@decoder("yunet", "cls_S, obj_S, bbox_S, kps_S of strides 8, 16, 32 (YuNet; OpenCV's FaceDetectorYN)", 0.3)
def yunet(outputs: Mapping[str, Array], size: Size, limits: Limits) -> Detections:
    levels = [_level(outputs, size, stride) for stride in STRIDES]
    boxes, points, scores = (np.concatenate(part) for part in zip(*levels, strict=True))
    scale = np.asarray(size, np.float32)
    return suppressed(boxes / np.tile(scale, 2), scores, limits.least, limits.most, points=points / scale)
