"""The cascade with planted networks, whose answers are known, and with the published ones beside OpenCV's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.shared import SHARED, needs_shared

from bittrue import api
from bittrue.audit.detection.matching import match
from bittrue.audit.networks import Network, shaped_float_network, shaped_quantized_network
from bittrue.cascade import mtcnn
from bittrue.cascade.capture import Capture
from bittrue.errors import DataError
from bittrue.importers import CaffeOptions

Array = np.ndarray[Any, Any]
FACE = (32, 8, 56, 32)  # a white square in a picture of 80 x 60


def picture() -> Image.Image:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[FACE[1] : FACE[3], FACE[0] : FACE[2]] = 255
    return Image.fromarray(pixels)


def white(x: Array) -> Array:
    """1 where a pixel is white."""
    return (x[0, 0] > 0.5).astype(np.float32)


def planted_pnet(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Cells of which every pixel is white."""
    x = white(feeds["data"])
    cells = [(d - 12) // 2 + 1 for d in x.shape]
    score = np.asarray(
        [[x[2 * i : 2 * i + 12, 2 * j : 2 * j + 12].mean() for j in range(cells[1])] for i in range(cells[0])]
    )
    return {"prob1": np.stack([1 - score, score])[None], "conv4-2": np.zeros((1, 4, *cells), np.float32)}


def planted_rnet(feeds: Mapping[str, Array]) -> dict[str, Array]:
    score = white(feeds["data"]).mean()
    return {"prob1": np.asarray([[1 - score, score]]), "conv5-2": np.zeros((1, 4), np.float32)}


def planted_onet(feeds: Mapping[str, Array]) -> dict[str, Array]:
    values = planted_rnet(feeds)
    marks = np.asarray([[0.25, 0.75, 0.5, 0.25, 0.75, 0.2, 0.2, 0.5, 0.8, 0.8]])
    return {"prob1": values["prob1"], "conv6-2": np.asarray([[0.0, 0, 0, 0.5]]), "conv6-3": marks}


PLANTED = [
    Network("pnet", planted_pnet, ("prob1", "conv4-2")),
    Network("rnet", planted_rnet, ("prob1", "conv5-2")),
    Network("onet", planted_onet, ("prob1", "conv6-2", "conv6-3")),
]


@pytest.mark.parametrize("transposed", [True, False])
def test_planted_networks(transposed: bool) -> None:
    """With cells of 24 pixels, the white square is one of pnet's cells, and the only one wholly white. onet moves the
    lower edge by half."""
    options = mtcnn.Options(smallest=24, thresholds=(0.99, 0.99, 0.99), transposed=transposed)
    found = mtcnn.detect(*PLANTED, picture(), options)
    assert len(found) == 1 and found.scores[0] == 1
    x0, y0, x1, y1 = FACE
    np.testing.assert_allclose(found.boxes[0], [x0, y0, x1, y1 + 12])
    corner, side = found.boxes[0, :2], 24
    np.testing.assert_allclose(found.points[0, :, 0], corner[0] + side * np.asarray([0.25, 0.75, 0.5, 0.25, 0.75]))
    np.testing.assert_allclose(found.points[0, :, 1], corner[1] + side * np.asarray([0.2, 0.2, 0.5, 0.8, 0.8]))


def test_nothing_to_find() -> None:
    black = Image.new("RGB", (40, 30))
    found = mtcnn.detect(*PLANTED, black)
    assert len(found) == 0 and found.points.shape == (0, 5, 2)
    assert len(mtcnn.detect(*PLANTED, black.resize((9, 9)))) == 0
    with pytest.raises(DataError, match="rnet: no output 'conv6-2', which MTCNN needs; it has prob1, conv5-2"):
        mtcnn.detect(PLANTED[0], PLANTED[1], PLANTED[1], picture())


def test_pyramid() -> None:
    steps = mtcnn.scales(100, 60, mtcnn.Options(smallest=20, factor=0.5))
    assert steps == [0.6, 0.3] and mtcnn.scales(19, 100, mtcnn.Options(smallest=20)) == []


def published(number: int, side: int) -> Any:
    assert SHARED is not None
    base = SHARED / f"models/caffe/mtcnn/det{number}"
    caffe = CaffeOptions(base.with_suffix(".caffemodel"))
    return api.load_shaped(base.with_suffix(".prototxt"), shapes={"data": (1, 3, side, side)}, caffe=caffe)


def by_opencv(number: int, outputs: tuple[str, ...]) -> Network:
    cv2 = pytest.importorskip("cv2")
    assert SHARED is not None
    base = SHARED / f"models/caffe/mtcnn/det{number}"
    net = cv2.dnn.readNetFromCaffe(str(base.with_suffix(".prototxt")), str(base.with_suffix(".caffemodel")))

    def run(feeds: Mapping[str, Array]) -> dict[str, Array]:
        net.setInput(feeds["data"], "data")
        return {n: np.array(net.forward(n)) for n in outputs}

    return Network(f"det{number} by OpenCV", run, outputs)


@needs_shared
def test_published_networks_beside_opencv() -> None:
    """The same faces whoever runs the networks: five in a picture that shows five from the front."""
    assert SHARED is not None
    image = Image.open(SHARED / "data/coco-20/000000006954.jpg")
    graphs = [published(1, 12), published(2, 24), published(3, 48)]
    ours = mtcnn.detect(*map(shaped_float_network, graphs), image)
    outputs = [("prob1", "conv4-2"), ("prob1", "conv5-2"), ("prob1", "conv6-2", "conv6-3")]
    other = mtcnn.detect(*(by_opencv(i + 1, names) for i, names in enumerate(outputs)), image)
    assert len(ours) == len(other) == 5
    np.testing.assert_allclose(ours.boxes, other.boxes, atol=0.05)
    np.testing.assert_allclose(ours.points, other.points, atol=0.05)
    np.testing.assert_allclose(ours.scores, other.scores, atol=1e-3)


@needs_shared
def test_quantized_network_at_any_size(tmp_path: Path) -> None:
    """Calibrated on two sizes, run on a third: as if it had been lowered for it alone."""
    graphs = published(1, 12)
    rng = np.random.default_rng(1)
    sizes = [(24, 30), (41, 17), (33, 33)]
    feeds = [{"data": rng.uniform(-1, 1, (1, 3, *size)).astype(np.float32)} for size in sizes]
    np.savez(tmp_path / "a.npz", **feeds[0])
    np.savez(tmp_path / "b.npz", **feeds[1])
    table = api.calibrate(graphs, api.records(graphs.graph, tmp_path, any_shape=True), method="max")
    network = shaped_quantized_network(graphs, table, "bm1684")
    alone = api.quantize(graphs.at({"data": (1, 3, 33, 33)}), table.tensors, "bm1684")
    outputs = api.Session(alone.graph).run(api.reference_feeds(alone, feeds[2])).outputs
    got = network.run(feeds[2])
    for name, value in outputs.items():
        assert got[name].shape == value.shape
        q = alone.tensors.get(name)
        np.testing.assert_array_equal(got[name], value if q is None else value.astype(np.float32) * np.float32(q.scale))
    truth = shaped_float_network(graphs).run(feeds[2])
    assert all(np.abs(truth[n] - got[n]).max() < 0.2 for n in truth)
    with pytest.raises(DataError, match=r"shape \[1, 4, 12, 12\], 'data' needs \[1, 3, 12, 12\]"):
        network.run({"data": np.zeros((1, 4, 12, 12), np.float32)})


@needs_shared
def test_quantized_cascade(tmp_path: Path) -> None:
    """Net by net: inputs captured in float inferences of a picture, calibrated, lowered; the same faces in it, and one
    network compiled and verified."""
    assert SHARED is not None
    image = Image.open(SHARED / "data/coco-20/000000006954.jpg").resize((320, 240))
    graphs = [published(1, 12), published(2, 24), published(3, 48)]
    floats = [shaped_float_network(g) for g in graphs]
    folders = [tmp_path / name for name in ("p", "r", "o")]
    with ExitStack() as stack:
        captures = [stack.enter_context(Capture({"data": f}, limit=60)) for f in folders]
        truth = mtcnn.detect(*(c.of(n) for c, n in zip(captures, floats, strict=True)), image)
    tables = [
        api.calibrate(g, api.records(g.graph, f, any_shape=True), method="max")
        for g, f in zip(graphs, folders, strict=True)
    ]
    found = mtcnn.detect(
        *(shaped_quantized_network(g, t, "bm1684x") for g, t in zip(graphs, tables, strict=True)), image
    )
    matching = match(truth, found)
    assert len(truth) == len(matching.pairs) == 5
    for pair in matching.pairs:
        width = truth.boxes[pair.reference, 2] - truth.boxes[pair.reference, 0]
        moved = np.linalg.norm(truth.points[pair.reference] - found.points[pair.got], axis=1)
        assert moved.max() < 0.2 * width
    first = next(iter(api.records(graphs[1].graph, folders[1])))
    api.compile(graphs[1].graph, "bm1684x", tmp_path / "out", table=tables[1], reference=first.feeds)
    assert api.verify(tmp_path / "out").summary.mismatches == 0
