"""Mean average precision by the rules of PASCAL VOC (2007: 11 points; later: every point) and of COCO.

Sources: VOC's development kit (VOCevaldet.m) and COCO's pycocotools (cocoeval.py). Coordinates are continuous: a box is
xmax - xmin wide. VOC's inclusive pixels are read as such (`labels.py`), so that overlaps are those of its kit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bittrue.audit.detection.boxes import Detections, overlaps

Array = np.ndarray[Any, Any]
COCO_OVERLAPS = np.linspace(0.5, 0.95, 10)
COCO_RECALLS = np.linspace(0, 1, 101)
COCO_DETECTIONS = 100  # of a class in a picture; later ones do not count


@dataclass(frozen=True)
class Truth:
    """Objects that are in a picture: boxes (G, 4) and classes (G,).

    ignored: (G,), objects that need not be found and may be (VOC: difficult). crowd: (G,), areas in which any number of
    objects may be found (COCO), ignored as well.
    """

    boxes: Array
    classes: Array
    ignored: Array
    crowd: Array

    @staticmethod
    def of(boxes: Any, classes: Any, ignored: Any = None, crowd: Any = None) -> Truth:
        """From sequences of the shapes above; default: nothing ignored."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        crowd = np.zeros(len(boxes), bool) if crowd is None else np.asarray(crowd, bool)
        ignored = np.zeros(len(boxes), bool) if ignored is None else np.asarray(ignored, bool)
        return Truth(boxes, np.asarray(classes, np.int64).reshape(len(boxes)), ignored | crowd, crowd)

    @staticmethod
    def from_detections(found: Detections) -> Truth:
        """What a network found, taken as the truth."""
        return Truth.of(found.boxes, found.classes)


@dataclass(frozen=True)
class MeanPrecision:
    """Means over the classes of which the truth has an object that counts, shares of one; None without any.

    voc07: 11 points, overlap 0.5. voc: area under every point, overlap 0.5. coco: mean over overlaps 0.5 to 0.95.
    coco50: COCO's at overlap 0.5. per_class: class -> these by name.
    """

    voc07: float | None
    voc: float | None
    coco: float | None
    coco50: float | None
    per_class: dict[int, dict[str, float]] = field(default_factory=dict)


def mean_precision(pictures: Sequence[tuple[Detections, Truth]]) -> MeanPrecision:
    """What was found in each picture against what is there."""
    counted = [truth.classes[~truth.ignored] for _, truth in pictures]
    per_class = {}
    for c in sorted({int(v) for part in counted for v in part}):
        of_class = [(d.take(d.classes == c), _of_class(t, c)) for d, t in pictures]
        recall, precision = _voc_curve(of_class, 0.5)
        coco = [_coco_average(*_coco_curve(of_class, t)) for t in COCO_OVERLAPS]
        per_class[c] = {
            "voc07": eleven_points(recall, precision),
            "voc": every_point(recall, precision),
            "coco": float(np.mean(coco)),
            "coco50": coco[0],
        }
    means = {k: _mean([v[k] for v in per_class.values()]) for k in ("voc07", "voc", "coco", "coco50")}
    return MeanPrecision(**means, per_class=per_class)


def eleven_points(recall: Array, precision: Array) -> float:
    """VOC 2007: mean over recalls 0, 0.1 .. 1 of the best precision at that recall or a larger one."""
    return float(np.mean([precision[recall >= i / 10].max(initial=0.0) for i in range(11)]))


def every_point(recall: Array, precision: Array) -> float:
    """VOC from 2010: area under the precision, made to fall with the recall."""
    r, p = np.concatenate([[0.0], recall, [1.0]]), np.concatenate([[0.0], precision, [0.0]])
    p = np.maximum.accumulate(p[::-1])[::-1]
    return float(((r[1:] - r[:-1]) * p[1:]).sum())


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _of_class(truth: Truth, c: int) -> Truth:
    own = truth.classes == c
    return Truth(truth.boxes[own], truth.classes[own], truth.ignored[own], truth.crowd[own])


def _curve(scores: Array, right: Array, counted: Array, positives: int) -> tuple[Array, Array]:
    """Recall and precision after each detection that counts, by falling score."""
    order = np.argsort(-scores, kind="stable")
    order = order[counted[order]]
    hits = np.cumsum(right[order])
    return hits / positives, hits / np.arange(1, len(order) + 1)


def _voc_curve(pictures: Sequence[tuple[Detections, Truth]], least: float) -> tuple[Array, Array]:
    """Each detection belongs to the object that it overlaps most, taken or not; the first one of an object is right,
    later ones are wrong, those of an ignored object do not count."""
    scores = np.concatenate([d.scores for d, _ in pictures])
    right, counted = np.zeros(len(scores), bool), np.ones(len(scores), bool)
    position = 0
    for found, truth in pictures:
        shared = overlaps(found.boxes, truth.boxes)
        taken: set[int] = set()
        for i in np.argsort(-found.scores, kind="stable"):
            best = int(shared[i].argmax()) if len(truth.boxes) else -1
            if best < 0 or shared[i, best] < least:
                continue
            if truth.ignored[best]:
                counted[position + i] = False
            elif best not in taken:
                right[position + i] = True
                taken.add(best)
        position += len(found)
    return _curve(scores, right, counted, sum(int((~t.ignored).sum()) for _, t in pictures))


def _coco_curve(pictures: Sequence[tuple[Detections, Truth]], least: float) -> tuple[Array, Array]:
    """Each detection, the best first, takes the free object that it overlaps most, ignored ones only if no other is
    left; those of ignored objects do not count."""
    scores, right, counted = [], [], []
    for found, truth in pictures:
        best = found.take(np.argsort(-found.scores, kind="stable")[:COCO_DETECTIONS])
        shared = _coco_overlaps(best.boxes, truth)
        free = np.ones(len(truth.boxes), bool)
        for i in range(len(best)):
            j = _coco_choice(shared[i], free, truth, min(least, 1 - 1e-10))
            right.append(j is not None and not truth.ignored[j])
            counted.append(j is None or not truth.ignored[j])
            if j is not None and not truth.crowd[j]:
                free[j] = False
        scores.append(best.scores)
    positives = sum(int((~t.ignored).sum()) for _, t in pictures)
    return _curve(np.concatenate(scores), np.asarray(right, bool), np.asarray(counted, bool), positives)


def _coco_choice(shared: Array, free: Array, truth: Truth, least: float) -> int | None:
    """The object of a detection; of equal overlaps the last, as in pycocotools."""
    for group in (~truth.ignored, truth.ignored):
        candidates = np.flatnonzero(group & free & (shared >= least))
        if candidates.size:
            return int(candidates[::-1][shared[candidates[::-1]].argmax()])
    return None


def _coco_overlaps(boxes: Array, truth: Truth) -> Array:
    """Overlaps; with a crowd the share of the detection that lies in it."""
    shared = overlaps(boxes, truth.boxes)
    if len(boxes) and truth.crowd.any():
        crowd = truth.boxes[truth.crowd]
        low = np.maximum(boxes[:, None, :2], crowd[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], crowd[None, :, 2:])
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
        inside = np.prod(np.maximum(high - low, 0), 2)
        with np.errstate(all="ignore"):
            shared[:, truth.crowd] = np.where(areas[:, None] > 0, inside / areas[:, None], 0)
    return shared


def _coco_average(recall: Array, precision: Array) -> float:
    """Mean over 101 recalls of the precision, made to fall with the recall, at the first point that reaches them."""
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, COCO_RECALLS, side="left")
    return float(np.append(precision, 0.0)[np.minimum(at, len(precision))].mean())
