"""YoloDetection: boxes of YOLOv3 heads, suppression per class, the best over all classes.

Every step is one rounding to binary32; sigmoid and exp are computed in double and rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.boxes import suppress
from bittrue.ops.registry import Array, op

F = np.float32


def _sigmoid(x: Array) -> Array:
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(F)


def head_boxes(x: Array, anchors: Array, scale: int, classes: int) -> tuple[Array, Array]:
    """Centres and sizes (N, B, 4) and scores (N, B, classes) of a head (N, A*(5+classes), H, W) with anchors (A, 2) in
    pixels of an input `scale` times as large; B counts rows, columns, then anchors."""
    n, _, h, w = x.shape
    x = x.reshape(n, len(anchors), 5 + classes, h, w).transpose(0, 3, 4, 1, 2)
    column, row = np.arange(w, dtype=F)[:, None], np.arange(h, dtype=F)[:, None, None]
    boxes = np.empty((*x.shape[:-1], 4), F)
    boxes[..., 0] = (_sigmoid(x[..., 0]) + column) / F(w)
    boxes[..., 1] = (_sigmoid(x[..., 1]) + row) / F(h)
    boxes[..., 2] = np.exp(x[..., 2].astype(np.float64)).astype(F) * anchors[:, 0] / F(w * scale)
    boxes[..., 3] = np.exp(x[..., 3].astype(np.float64)).astype(F) * anchors[:, 1] / F(h * scale)
    scores = _sigmoid(x[..., 5:]) * _sigmoid(x[..., 4:5])
    return boxes.reshape(n, -1, 4), scores.reshape(n, -1, classes)


@op("YoloDetection", "num_classes", "anchors", "scales", "confidence_threshold", "nms_threshold", "keep_top_k")
def yolo_detection(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    a = node.attrs
    heads = [np.asarray(x, F) for x in inputs]
    anchors = np.asarray(a["anchors"], F).reshape(len(heads), -1, 2)
    with np.errstate(all="ignore"):
        parts = [head_boxes(x, s, k, a["num_classes"]) for x, s, k in zip(heads, anchors, a["scales"], strict=True)]
        boxes, scores = (np.concatenate([p[i] for p in parts], 1) for i in (0, 1))
        half = boxes[..., 2:] * F(0.5)
        corners = np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], -1)
        least, most = a.get("confidence_threshold", 0.01), a.get("nms_threshold", 0.45)
        found: list[list[tuple[Any, ...]]] = [
            [
                (image, c, scores[image, i, c], *boxes[image, i], i)
                for c in range(a["num_classes"])
                for i in suppress(corners[image], scores[image, :, c], least, -1, most, 1.0)
            ]
            for image in range(len(boxes))
        ]
    rows = [
        row[:7]
        for part in found
        for row in sorted(part, key=lambda r: (-r[2], r[1], r[-1]))[: a.get("keep_top_k", 200)]
    ]
    result = np.full(outputs[0].shape, -1, F)
    if rows:
        result[0, 0, : len(rows)] = rows
    return [result]
