"""Boxes on pictures, overlaps, and which boxes are the same object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bittrue.audit.detection.boxes import Detections, overlaps
from bittrue.audit.detection.matching import match, scores_below
from bittrue.calibrate.data import Preprocess, picture
from bittrue.calibrate.placement import place
from bittrue.graph.ir import TensorType
from tests.audit.detection.scenes import boxes
from tests.audit.detection.test_average_precision import pixels


@given(st.integers(0, 2**32 - 1))
def test_overlaps_count_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = boxes(rng, rng.integers(0, 3)), boxes(rng, rng.integers(0, 3))
    expected = [[len(pixels(p) & pixels(q)) / len(pixels(p) | pixels(q)) for q in b] for p in a]
    assert overlaps(a, b) == pytest.approx(np.asarray(expected).reshape(len(a), len(b)), abs=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_every_object_is_matched_missing_or_extra(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sides = []
    base = boxes(rng, 6)
    for _ in range(2):
        own = base[rng.integers(0, 6, rng.integers(0, 6))]
        own = own + rng.integers(0, 2, own.shape)
        sides.append(Detections.of(own, rng.integers(0, 4, len(own)) / 4, rng.integers(0, 2, len(own))))
    reference, got = sides
    found = match(reference, got)
    assert sorted([p.reference for p in found.pairs] + list(found.missing)) == list(range(len(reference)))
    assert sorted([p.got for p in found.pairs] + list(found.extra)) == list(range(len(got)))
    for p in found.pairs:
        assert reference.classes[p.reference] == got.classes[p.got]
        assert p.overlap == overlaps(reference.boxes, got.boxes)[p.reference, p.got] >= 0.5
        assert p.score_difference == abs(reference.scores[p.reference] - got.scores[p.got])
    # nothing that is left over could have been matched
    for i in found.extra:
        for j in found.missing:
            same = reference.classes[j] == got.classes[i]
            assert not same or overlaps(reference.boxes, got.boxes)[j, i] < 0.5


def test_the_better_score_chooses_first() -> None:
    reference = Detections.of([[0, 0, 10, 10]], [0.9])
    got = Detections.of([[0, 0, 10, 9], [0, 0, 10, 10]], [0.8, 0.7])
    found = match(reference, got)
    assert (found.pairs[0].got, found.extra, found.missing) == (0, (1,), ())
    assert found.pairs[0].overlap == pytest.approx(0.9)


def test_another_class_is_another_object() -> None:
    reference, got = Detections.of([[0, 0, 9, 9]], [0.9], [1]), Detections.of([[0, 0, 9, 9]], [0.9], [2])
    found = match(reference, got)
    assert (found.pairs, found.missing, found.extra) == ((), (0,), (0,))
    assert scores_below(reference, got) == [None]


def test_scores_below_are_of_the_same_place_and_class() -> None:
    weak = Detections.of([[50, 50, 60, 60], [0, 0, 9, 10]], [0.4, 0.2], [1, 1])
    assert scores_below(Detections.of([[0, 0, 10, 10], [20, 20, 30, 30]], [0.9, 0.8], [1, 1]), weak) == [0.2, None]


@pytest.mark.parametrize("mode", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(120, 60), (60, 120), (40, 40)])
def test_boxes_return_to_where_the_picture_shows_them(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    """A white square in a black picture is found on the network's input and brought back."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    y, x = size[1] // 2 - 10, size[0] // 2 - 8
    image[y : y + 20, x : x + 20] = 255
    Image.fromarray(image).save(tmp_path / "p.png")
    input_ = picture(tmp_path / "p.png", TensorType("float32", (1, 3, 240, 320)), Preprocess(mode=mode, fill=0))
    rows, columns = np.nonzero(input_[0, 0] > 127)
    box = [columns.min() / 320, rows.min() / 240, (columns.max() + 1) / 320, (rows.max() + 1) / 240]
    found = Detections.of([box], [1.0], points=[[box[:2]]]).on_picture(place(size, (320, 240), mode))
    assert found.boxes[0] == pytest.approx([x, y, x + 20, y + 20], abs=0.6)
    assert found.points[0, 0] == pytest.approx([x, y], abs=0.6)


def test_boxes_end_at_the_picture() -> None:
    inside = [[-0.5, -0.5, 0.5, 0.5], [0.9, 0.9, 1.5, 1.5], [1.1, 0, 1.5, 1], [0.6, 0.6, 0.4, 0.8]]
    found = Detections.of(inside, [0.9, 0.8, 0.7, 0.6]).on_picture(place((100, 200), (320, 240), "stretch"))
    assert found.scores.tolist() == [0.9, 0.8]
    assert found.boxes == pytest.approx(np.asarray([[0, 0, 50, 100], [90, 180, 100, 200]]))
