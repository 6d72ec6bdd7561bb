"""Proposal of Faster R-CNN: anchors moved by predictions, clipped to the image, suppressed.

Every step is one rounding to binary32; exp is computed in double and rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.boxes import suppress
from bittrue.ops.registry import Array, op

F = np.float32


def moved_anchors(deltas: Array, anchors: Array, stride: int) -> Array:
    """Boxes (H*W*A, 4) from predictions (4A, H, W) and anchors (A, 4); rows, columns, then anchors."""
    _, h, w = deltas.shape
    deltas = deltas.reshape(len(anchors), 4, h, w).transpose(2, 3, 0, 1)
    y, x = np.meshgrid(np.arange(h, dtype=F) * F(stride), np.arange(w, dtype=F) * F(stride), indexing="ij")
    placed = np.stack([x, y, x, y], -1)[:, :, None] + anchors
    size = (placed[..., 2:] - placed[..., :2]) + F(1)
    centre = deltas[..., :2] * size + (placed[..., :2] + F(0.5) * size)
    half = F(0.5) * (np.exp(deltas[..., 2:].astype(np.float64)).astype(F) * size)
    return np.concatenate([centre - half, centre + half], -1).reshape(-1, 4)


@op("Proposal", "anchors", "feat_stride", "min_size", "pre_nms_top_n", "post_nms_top_n", "nms_threshold")
def proposal(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    a = node.attrs
    scores, deltas, image = (np.asarray(x, F) for x in inputs)
    anchors, image = np.asarray(a["anchors"], F).reshape(-1, 4), image.ravel()
    with np.errstate(all="ignore"):
        boxes = moved_anchors(deltas[0], anchors, a.get("feat_stride", 16))
        most = np.asarray([image[1], image[0], image[1], image[0]]) - F(1)
        boxes = np.where(boxes > most, most, boxes)
        boxes = np.where(boxes < 0, F(0), boxes)
        large = ((boxes[:, 2:] - boxes[:, :2]) + F(1) >= F(a.get("min_size", 16)) * image[2]).all(1)
        foreground = np.where(large, scores[0, len(anchors) :].transpose(1, 2, 0).ravel(), F(-np.inf))
        reaching = boxes + np.asarray([0, 0, 1, 1], F)
        lowest, limit = float(np.finfo(F).min), a.get("pre_nms_top_n", 6000)
        kept = suppress(reaching, foreground, lowest, limit, a.get("nms_threshold", 0.7), 1.0)[: outputs[0].shape[0]]
    result = np.zeros(outputs[0].shape, F)
    result[: len(kept), 1:] = boxes[kept]
    return [result]
