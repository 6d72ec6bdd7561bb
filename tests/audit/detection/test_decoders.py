"""Decoders: by hand, round trips, and against other programs on real networks."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from PIL import Image

from bittrue import api
from bittrue.audit.detection.boxes import Detections, overlaps
from bittrue.audit.detection.decoders import DECODERS, Limits, load_decoder
from bittrue.audit.detection.decoders.rfb import priors
from bittrue.audit.networks import float_network
from bittrue.errors import DataError, UsageError
from tests.shared import SHARED, needs_shared

SIZE = (320, 240)


def decoded(
    name: str, least: float, most: float | None = None, size: tuple[int, int] = SIZE, **outputs: object
) -> Detections:
    decoder = load_decoder(name)
    arrays = {n: np.asarray(v, np.float32) for n, v in outputs.items()}
    return decoder(arrays, size, Limits(least, decoder.most if most is None else most))


def test_ssd_rows() -> None:
    rows = [[0, 1, 0.9, 0.1, 0.2, 0.3, 0.4], [0, 3, 0.2, 0, 0, 1, 1], [0, 2, 0.5, 0, 0, 1, 1], [-1] * 7]
    found = decoded("ssd", 0.5, y=[[rows]])
    assert found.classes.tolist() == [1, 2] and found.scores == pytest.approx([0.9, 0.5])
    assert found.boxes[0] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_ssd_rows_without_an_object() -> None:
    assert len(decoded("ssd", 0.0, y=[[[[0, -1, -1, -1, -1, -1, -1]]]])) == 0


def test_yolo_rows_are_centres_and_sizes() -> None:
    assert decoded("yolo", 0.1, y=[[[[0, 5, 0.9, 0.5, 0.4, 0.2, 0.6]]]]).boxes[0] == pytest.approx([0.4, 0.1, 0.6, 0.7])


def test_priors_are_where_the_network_puts_them() -> None:
    """The first cells of each map of a 320 x 240 input, and their number. The last map has 5 x 4 cells, although 240 is
    no multiple of 64."""
    prior = priors(SIZE)
    assert len(prior) == 40 * 30 * 3 + 20 * 15 * 2 + 10 * 8 * 2 + 5 * 4 * 3
    assert prior[0] == pytest.approx([4 / 320, 4 / 240, 10 / 320, 10 / 240])
    assert prior[3] == pytest.approx([12 / 320, 4 / 240, 10 / 320, 10 / 240])
    assert prior[-1] == pytest.approx([0.9, 0.875, 256 / 320, 1.0])


def test_rfb_raw_inverts_the_encoding() -> None:
    prior = priors(SIZE)
    box, index = np.asarray([0.2, 0.3, 0.5, 0.7]), 4380
    centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    boxes, scores = np.zeros((1, len(prior), 4)), np.zeros((1, len(prior), 2))
    boxes[0, index, :2] = (centre - prior[index, :2]) / prior[index, 2:] / 0.1
    boxes[0, index, 2:] = np.log(size / prior[index, 2:]) / 0.2
    scores[0, index] = [0.1, 0.9]
    found = decoded("rfb-raw", 0.5, boxes=boxes, scores=scores)
    assert found.classes.tolist() == [1] and found.boxes[0] == pytest.approx(box, abs=1e-6)


def test_rfb_suppresses_by_overlap() -> None:
    boxes = [[[0, 0, 0.4, 0.4], [0, 0, 0.4, 0.36], [0.5, 0.5, 0.9, 0.9]]]
    scores = [[[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]]
    assert decoded("rfb", 0.5, boxes=boxes, scores=scores).scores == pytest.approx([0.9, 0.7])
    assert len(decoded("rfb", 0.5, 1.0, boxes=boxes, scores=scores)) == 3
    assert len(decoded("rfb", 0.7, boxes=boxes, scores=scores)) == 2  # a score at the limit counts


def test_fastestdet_reads_a_cell() -> None:
    cells = np.zeros((1, 8, 4, 5))
    cells[0, :, 2, 3] = [0.9, 0.5, -0.5, 1.0, -1.0, 0.1, 0.8, 0.3]
    found = decoded("fastestdet", 0.5, y=cells)
    cx, cy = (3 + math.tanh(0.5)) / 5, (2 - math.tanh(0.5)) / 4
    w, h = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))
    assert found.classes.tolist() == [1] and found.scores == pytest.approx([0.9**0.6 * 0.8**0.4])
    assert found.boxes[0] == pytest.approx([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], abs=1e-6)


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_outputs_of_another_network_are_refused_by_name(name: str) -> None:
    with pytest.raises(DataError, match=rf"decoder {name}: .*needed; the network has y \[1, 10\]"):
        decoded(name, 0.5, y=np.zeros((1, 10)))


@pytest.mark.parametrize(
    ("name", "outputs", "words"),
    [
        ("ssd", {"y": np.zeros((1, 1, 3, 7)) + np.arange(3)[:, None]}, "more than one picture"),
        ("rfb", {"boxes": np.zeros((1, 3, 4)), "scores": np.zeros((1, 4, 2))}, "as many scores"),
        ("rfb-raw", {"boxes": np.zeros((1, 3, 4)), "scores": np.zeros((1, 3, 2))}, "4420 priors"),
        ("rfb", {"boxes": np.zeros((2, 3, 4)), "scores": np.zeros((2, 3, 2))}, r"must be \[1, N, 4\]"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(name: str, outputs: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(DataError, match=words):
        decoded(name, 0.5, **outputs)


def test_unknown_decoders_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no decoder 'x'; there are"):
        load_decoder("x")


@needs_shared
def test_raw_and_decoded_rfb_find_the_same_faces() -> None:
    """The published network with its post-processing inside against the one without, decoded here."""
    assert SHARED
    folder = SHARED / "models/onnx/rfb320"
    image = Image.open(SHARED / "data/coral/face.jpg").convert("RGB").resize(SIZE)
    x = ((np.asarray(image, np.float32) - 127) / 128).transpose(2, 0, 1)[None]
    found = []
    for file, name in (("version-RFB-320.onnx", "rfb"), ("version-RFB-320_without_postprocessing.onnx", "rfb-raw")):
        network = float_network(api.load_float(folder / file))
        found.append(decoded(name, 0.7, **network.run({"input": x})))
    assert len(found[0]) == len(found[1]) == 4
    assert found[1].boxes == pytest.approx(found[0].boxes, abs=1e-4)
    assert found[1].scores == pytest.approx(found[0].scores, abs=1e-5)


@needs_shared
def test_opencv_decodes_yunet_alike() -> None:
    assert SHARED
    path = SHARED / "models/onnx/yunet/yunet_n_320_320.onnx"
    image = cv2.resize(cv2.imread(str(SHARED / "data/coral/face.jpg")), (320, 320))
    rows = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.6, 0.3).detect(image)[1]
    network = float_network(api.load_float(path))
    values = network.run({"input": image.astype(np.float32).transpose(2, 0, 1)[None]})
    found = decoded("yunet", 0.6, size=(320, 320), **values)
    assert len(found) == len(rows) == 4
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1) / 320
    order = overlaps(found.boxes, boxes).argmax(1)
    assert found.boxes == pytest.approx(boxes[order], abs=1e-3)
    assert found.scores == pytest.approx(rows[order, 14], abs=1e-3)
    assert found.points.reshape(4, 10) == pytest.approx(rows[order, 4:14] / 320, abs=1e-3)
