"""What two detectors find in pictures, compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bittrue.audit.detection.average_precision import Truth
from bittrue.audit.detection.decoders import load_decoder
from bittrue.audit.detection.run import DetectOptions, Picture, compare_detections, detect, pictures_of
from bittrue.audit.detection.shown import DRAWN, most_different, shown_boxes
from bittrue.audit.networks import Network
from bittrue.calibrate.data import Preprocess, Records
from bittrue.errors import DataError
from bittrue.graph.ir import Graph, TensorType

LEFT, RIGHT, MIDDLE = (0, 0, 0.25, 0.5), (0.75, 0.5, 1, 1), (0.4, 0.4, 0.6, 0.6)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    graph = Graph("g", inputs=["x"])
    graph.types["x"] = TensorType("float32", (1, 3, 8, 8))
    for i in range(3):
        Image.new("RGB", (40, 20), (i, 0, 0)).save(tmp_path / f"{i}.png")
    return Records(graph, tmp_path, Preprocess())


def network(*pictures: list[tuple[float, ...]]) -> Network:
    """Finds the (score, corners) of the picture whose first pixel is its number."""

    def run(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = [[0, 1, *row] for row in pictures[int(feeds["x"][0, 0, 0, 0])]]
        return {"y": np.asarray(rows or [[0, -1, -1, -1, -1, -1, -1]], np.float32)[None, None]}

    return Network("test", run, ("y",))


FLOAT = network([(0.9, *LEFT), (0.6, *RIGHT)], [(0.8, *LEFT)], [])
QUANTIZED = network([(0.4, *RIGHT), (0.85, *LEFT)], [(0.8, *LEFT), (0.7, *MIDDLE)], [(0.2, *LEFT)])


def found(records: Records) -> tuple[list[Picture], list, list]:
    pictures, options = pictures_of(records), DetectOptions(score=0.5)
    return pictures, *(detect(n, pictures, load_decoder("ssd"), options) for n in (FLOAT, QUANTIZED))


def test_totals_and_what_became_of_each_box(records: Records) -> None:
    result = compare_detections(*found(records))
    assert (result.pictures, result.float_boxes, result.boxes) == (3, 3, 3)
    assert (result.matched, result.missing, result.extra) == (2, 1, 1)
    assert (result.weak_missing, result.weak_extra) == (1, 0)
    assert result.matched_share == pytest.approx(2 / 3) and result.mean_overlap == result.least_overlap == 1
    assert result.score_difference == pytest.approx(0.05)
    first, second, _ = result.compared
    states = [(f.state, f.other_score and round(f.other_score, 6)) for f in first.reference_fates]
    assert states == [("matched", 0.85), ("missing", 0.4)]
    assert [f.state for f in second.got_fates] == ["matched", "extra"]
    assert second.got_fates[1].other_score is None
    # The weak box of the last picture is below the limit; for average precision it is the last of all.
    assert result.against_float.voc == pytest.approx(2 / 3 + 1 / 3 * 3 / 4)


def test_the_order_and_content_of_what_is_shown(records: Records) -> None:
    result = compare_detections(*found(records))
    assert most_different([result], 3) == [0, 1, 2] and most_different([result], 1) == [0]
    shown = shown_boxes(result.compared[1], ["background", "face"])
    assert shown["key"] == "1.png" and [b["state"] for b in shown["quantized"]] == ["matched", "extra"]
    assert shown["float"][0]["class"] == "face" and shown["float"][0]["box"] == [0, 0, 10, 10]
    assert shown_boxes(result.compared[1])["float"][0]["class"] == "1"
    assert shown["counts"] == {"float": 1, "quantized": 2}
    assert [row["key"] for row in result.as_dict()["rows"]] == ["0.png", "1.png", "2.png"]


def test_of_many_boxes_the_best_are_shown(records: Records) -> None:
    many = [(0.9 - i / 1000, i / 400, 0, (i + 1) / 400, 1) for i in range(DRAWN + 10)]
    pictures = pictures_of(records)
    crowded = detect(network(many, [], []), pictures, load_decoder("ssd"), DetectOptions())
    shown = shown_boxes(compare_detections(pictures, crowded, crowded).compared[0])
    assert shown["counts"] == {"float": DRAWN + 10, "quantized": DRAWN + 10}
    assert [b["score"] for b in shown["float"]] == pytest.approx([row[0] for row in many[:DRAWN]])


def test_labels_judge_both(records: Records) -> None:
    pictures, reference, got = found(records)
    truth = {"0.png": [[0, 0, 10, 10]], "1.png": [[0, 0, 10, 10]], "2.png": []}
    labels = compare_detections(
        pictures, reference, got, labels=lambda key, size: Truth.of(truth[key], [1] * len(truth[key]))
    )
    assert labels.float_labels and labels.quantized_labels
    assert labels.float_labels.voc == labels.quantized_labels.voc == 1


def test_nothing_found_has_no_share(records: Records) -> None:
    pictures, _, _ = found(records)
    nothing = detect(network([], [], []), pictures, load_decoder("ssd"), DetectOptions())
    result = compare_detections(pictures, nothing, nothing)
    assert result.matched_share is result.mean_overlap is result.score_difference is None


def test_what_cannot_be_compared(records: Records) -> None:
    with pytest.raises(DataError, match="no pictures"):
        compare_detections([], [], [])
    pictures = pictures_of(records)
    for row in ((float("nan"), *LEFT), (0.9, float("nan"), 0, 1, 1), (float("inf"), *LEFT)):
        with pytest.raises(DataError, match=r"0\.png: test returns values that are no finite numbers"):
            detect(network([row], [], []), pictures, load_decoder("ssd"), DetectOptions())
    records.graph.inputs.append("z")
    records.graph.types["z"] = TensorType("float32", (1, 4))
    with pytest.raises(DataError, match=r"feeds one input of four dimensions, the network has x .*, z \[1, 4\]"):
        pictures_of(records)
