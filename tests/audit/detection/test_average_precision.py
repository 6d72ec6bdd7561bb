"""Average precision: by hand, against pycocotools, and against VOC's rule written down a second time."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bittrue.audit.detection.average_precision import Truth, every_point, mean_precision
from bittrue.audit.detection.boxes import Detections
from tests.audit.detection.scenes import Scene, scene

THREE = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]


def test_right_wrong_right_of_three() -> None:
    """Recall 1/3, 1/3, 2/3 at precision 1, 1/2, 2/3."""
    found = Detections.of([THREE[0], [80, 80, 90, 90], THREE[1]], [0.9, 0.8, 0.7])
    result = mean_precision([(found, Truth.of(THREE, [0, 0, 0]))])
    assert result.voc07 == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    assert result.voc == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert [result.coco50, result.coco] == pytest.approx([(34 * 1 + 33 * 2 / 3) / 101] * 2)


def test_a_second_box_of_an_object_is_wrong() -> None:
    found = Detections.of([THREE[0], THREE[0], THREE[1]], [0.9, 0.8, 0.7])
    assert mean_precision([(found, Truth.of(THREE[:2], [0, 0]))]).voc == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_shifted_boxes_count_up_to_their_overlap() -> None:
    """An overlap of 80 / 120 = 0.667 counts for the thresholds 0.5, 0.55, 0.6, 0.65."""
    found = Detections.of([[2, 0, 12, 10]], [0.9])
    result = mean_precision([(found, Truth.of(THREE[:1], [0]))])
    assert (result.voc, result.coco50, result.coco) == (1, 1, pytest.approx(0.4))


def test_difficult_objects_neither_help_nor_harm() -> None:
    found = Detections.of(THREE, [0.9, 0.8, 0.7])
    truth = Truth.of(THREE, [0, 0, 0], ignored=[True, False, False])
    assert mean_precision([(found, truth)]).voc == 1
    assert mean_precision([(Detections.of(THREE[1:], [0.8, 0.7]), truth)]).voc == 1


def test_classes_without_an_object_do_not_count() -> None:
    found = Detections.of(THREE, [0.9, 0.8, 0.7], [0, 0, 7])
    result = mean_precision([(found, Truth.of(THREE[:2], [0, 0]))])
    assert list(result.per_class) == [0] and result.voc == 1
    assert mean_precision([(found, Truth.of([], []))]).voc is None


def test_nothing_found_is_zero() -> None:
    nothing = mean_precision([(Detections.of([], []), Truth.of(THREE, [0, 0, 0]))])
    assert (nothing.voc07, nothing.voc, nothing.coco) == (0, 0, 0)


def by_pycocotools(scenes: list[Scene]) -> tuple[float, float]:
    """(0.5 to 0.95, 0.5) of all areas and 100 detections."""
    annotations, results = [], []
    for image, (found, truth) in enumerate(scenes, 1):
        for box, c, crowd in zip(truth.boxes, truth.classes, truth.crowd, strict=True):
            x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": int(c) + 1, "iscrowd": int(crowd),
                 "bbox": [x, y, w, h], "area": w * h}
            )  # fmt: skip
        for box, c, score in zip(found.boxes, found.classes, found.scores, strict=True):
            where = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            results.append({"image_id": image, "category_id": int(c) + 1, "bbox": where, "score": float(score)})
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": i + 1} for i in range(len(scenes))],
        "annotations": annotations,
        "categories": [{"id": 1}, {"id": 2}],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[0], judge.stats[1]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_pycocotools_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = [scene(rng) for _ in range(rng.integers(1, 5))]
    if not any(len(found) for found, _ in scenes):  # loadRes takes no empty results
        return
    whole, half = by_pycocotools(scenes)
    ours = mean_precision(scenes)
    if whole == -1:  # its word for no objects
        assert ours.coco is None
    else:
        assert (ours.coco, ours.coco50) == (pytest.approx(whole, abs=1e-12), pytest.approx(half, abs=1e-12))


def pixels(box: np.ndarray) -> set[tuple[int, int]]:
    x0, y0, x1, y1 = map(int, box)
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def voc_again(scenes: list[Scene], c: int) -> tuple[float, float]:
    """VOC's rule with sets of pixels for boxes and one recall level for each object: (11 points, every point)."""
    entries = sorted(
        ((-score, i, k) for i, (found, _) in enumerate(scenes) for k, score in enumerate(found.scores)
         if found.classes[k] == c),
    )  # fmt: skip
    taken, hits, wrong, curve = set(), 0, 0, []
    for _, i, k in entries:
        found, truth = scenes[i]
        own = pixels(found.boxes[k])
        shares = {
            g: len(own & other) / len(own | other)
            for g, other in ((g, pixels(b)) for g, b in enumerate(truth.boxes) if truth.classes[g] == c)
        }
        best = max(shares, key=lambda g: shares[g], default=None)
        if best is None or shares[best] < 0.5:
            wrong += 1
        elif truth.ignored[best]:
            continue
        elif (i, best) in taken:
            wrong += 1
        else:
            taken.add((i, best))
            hits += 1
        curve.append((hits, hits / (hits + wrong)))
    total = sum(int(((t.classes == c) & ~t.ignored).sum()) for _, t in scenes)

    def best_from(recall: float) -> float:
        return max((p for h, p in curve if h / total >= recall), default=0.0)

    return sum(best_from(i / 10) for i in range(11)) / 11, sum(
        best_from(h / total) for h in range(1, total + 1)
    ) / total


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_voc_agrees_with_its_rule_written_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = [scene(rng, ties=False) for _ in range(rng.integers(1, 5))]
    ours = mean_precision(scenes)
    for c, values in ours.per_class.items():
        eleven, every = voc_again(scenes, c)
        assert values["voc07"] == pytest.approx(eleven, abs=1e-12)
        assert values["voc"] == pytest.approx(every, abs=1e-12)


def test_every_point_is_the_area_under_the_staircase() -> None:
    assert every_point(np.asarray([0.5, 1.0]), np.asarray([0.25, 0.5])) == 0.5
