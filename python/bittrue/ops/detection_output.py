"""DetectionOutput of Caffe-SSD: boxes from priors and predictions, suppression per class, the best over all classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Node, TensorType
from bittrue.ops.boxes import suppress
from bittrue.ops.registry import Array, op

F = np.float32
LOWEST = -3.4028234663852886e38  # of binary32: every finite score is above or equal


def decode(code: str, priors: Array, variances: Array, predictions: Array) -> Array:
    """Boxes (.., P, 4) from priors (P, 4), variances (P, 4) and predictions (.., P, 4)."""
    t = variances * predictions
    low, high = priors[:, :2], priors[:, 2:]
    size = high - low
    if code == "corner":
        return priors + t
    if code == "corner_size":
        return priors + t * np.concatenate([size, size], 1)
    if code != "center_size":
        raise UnsupportedError(f"attribute 'code_type': unknown rule '{code}'")
    centre = t[..., :2] * size + (low + high) * F(0.5)
    half = np.exp(t[..., 2:].astype(np.float64)).astype(F) * size * F(0.5)
    return np.concatenate([centre - half, centre + half], -1)


@op(
    "DetectionOutput", "num_classes", "share_location", "background_label", "nms_threshold", "nms_top_k", "nms_eta",
    "code_type", "keep_top_k", "variance_encoded", "confidence_threshold",
)  # fmt: skip
def detection_output(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    a = node.attrs
    loc, conf, prior = (np.asarray(x, F) for x in inputs)
    n, classes = loc.shape[0], a["num_classes"]
    priors, variances = prior.reshape(2, -1, 4)
    shared, background = a.get("share_location", 1), a.get("background_label", 0)
    if a.get("variance_encoded", 0):
        variances = np.ones_like(variances)
    scores = conf.reshape(n, -1, classes)
    predictions = loc.reshape(n, len(priors), -1, 4).transpose(0, 2, 1, 3)  # image, location class, prior, corner
    with np.errstate(all="ignore"):
        boxes = decode(a.get("code_type", "corner"), priors, variances, predictions)
        rows = [
            row
            for image in range(n)
            for row in _best(
                [
                    (image, c, scores[image, i, c], *boxes[image, 0 if shared else c, i], i)
                    for c in range(classes)
                    if c != background
                    for i in suppress(
                        boxes[image, 0 if shared else c],
                        scores[image, :, c],
                        a.get("confidence_threshold", LOWEST),
                        a.get("nms_top_k", -1),
                        a.get("nms_threshold", 0.3),
                        a.get("nms_eta", 1.0),
                    )
                ],
                a.get("keep_top_k", -1),
            )
        ]
    result = np.full(outputs[0].shape, -1, F)
    if rows:
        result[0, 0, : len(rows)] = [row[:7] for row in rows]
    else:
        result[0, 0, :n, 0] = range(n)
    return [result]


def _best(rows: list[tuple[Any, ...]], keep: int) -> list[tuple[Any, ...]]:
    """The `keep` rows of largest score (-1: all), equal scores by class and index; by class again."""
    if keep < 0 or len(rows) <= keep:
        return rows
    best = sorted(rows, key=lambda row: (-row[2], row[1], row[-1]))[:keep]
    return sorted(best, key=lambda row: row[1])
