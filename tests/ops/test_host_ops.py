"""Layers of the host processor: the C++ core equals the numpy model by bit pattern, and both keep the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.host_ops import host_type
from bittrue.graph.ir import TensorType
from bittrue.ops.boxes import overlap, suppress
from tests.ops.float_node import Array, run_node

many = settings(max_examples=60, deadline=None)


def run(op: str, inputs: list[Array], attrs: dict[str, Any]) -> Array:
    types = [TensorType("float32", x.shape) for x in inputs]
    return run_node(op, inputs, [("float32", host_type(op, attrs, types).shape)], attrs)[0]


def corners(rng: np.random.Generator, n: int) -> Array:
    """Random boxes; few coordinates, so that boxes touch, coincide and repeat; some inverted."""
    low, size = rng.integers(0, 6, (n, 2)) / 8, rng.integers(-1, 5, (n, 2)) / 8
    return np.concatenate([low, low + size], 1).astype(np.float32)


@st.composite
def detections(draw: st.DrawFn) -> tuple[list[Array], dict[str, Any]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, classes, priors = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 12))
    shared = draw(st.sampled_from([0, 1]))
    loc = rng.normal(0, 1, (images, priors * 4 * (1 if shared else classes)))
    conf = rng.integers(0, 8, (images, priors * classes)) / 8  # equal scores are frequent
    prior = np.stack([corners(rng, priors).ravel(), rng.uniform(0.05, 0.3, priors * 4)])[None]
    if draw(st.sampled_from([0, 0, 0, 1])):
        wild = rng.choice([np.nan, np.inf, -np.inf, 1e30, 500.0], loc.shape)
        loc = np.where(rng.random(loc.shape) < 0.1, wild, loc)
        conf = np.where(rng.random(conf.shape) < 0.1, np.nan, conf)
    attrs: dict[str, Any] = {
        "num_classes": classes,
        "share_location": shared,
        "background_label": draw(st.integers(-1, classes)),
        "code_type": draw(st.sampled_from(["corner", "center_size", "corner_size"])),
        "variance_encoded": draw(st.sampled_from([0, 1])),
        "nms_threshold": draw(st.sampled_from([0.0, 0.25, 0.45, 0.9, 1.0])),
        "nms_eta": draw(st.sampled_from([1.0, 0.75])),
        "nms_top_k": draw(st.sampled_from([-1, 0, 3, 40])),
        "keep_top_k": draw(st.sampled_from([-1, 0, 1, 5, 100])),
    }
    if draw(st.booleans()):
        attrs["confidence_threshold"] = draw(st.sampled_from([0.0, 0.25, 0.5, 2.0]))
    return [np.asarray(x, np.float32) for x in (loc, conf, prior)], attrs


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@many
@given(detections())
def test_detection_output(case: tuple[list[Array], dict[str, Any]]) -> None:
    inputs, attrs = case
    rows = run("DetectionOutput", inputs, attrs)[0, 0]
    used = rows[rows[:, 1] >= 0]
    assert (rows[: len(used)] == used).all() or np.isnan(used).any()
    if not len(used):
        np.testing.assert_array_equal(rows[: len(inputs[0]), 0], range(len(inputs[0])))
    keys = list(zip(used[:, 0], used[:, 1], -used[:, 2], strict=True))
    assert keys == sorted(keys) and attrs["background_label"] not in used[:, 1]
    keep = attrs["keep_top_k"]
    assert keep < 0 or all((used[:, 0] == i).sum() <= keep for i in range(len(inputs[0])))


PRIORS = np.asarray([[0, 0, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75]], np.float32)
VARIANCES = np.asarray([[0.1, 0.1, 0.2, 0.2]] * 2, np.float32)
PRIOR = np.stack([PRIORS.ravel(), VARIANCES.ravel()])[None]


def test_codes() -> None:
    """Worked by hand for the first prior."""
    loc = np.asarray([[1, -1, 0.5, 0, 0, 0, 0, 0]], np.float32)
    conf = np.asarray([[0.75, 0.5]], np.float32)
    attrs = {"num_classes": 1, "background_label": -1, "nms_threshold": 1.0}
    w = 0.5 * np.exp(0.1)
    expected = {
        "corner": [0.1, -0.1, 0.5 + 0.1, 0.5],
        "corner_size": [0.05, -0.05, 0.5 + 0.05, 0.5],
        "center_size": [0.3 - w / 2, 0.2 - 0.25, 0.3 + w / 2, 0.2 + 0.25],
    }
    for code, box in expected.items():
        rows = run("DetectionOutput", [loc, conf, PRIOR], {**attrs, "code_type": code})[0, 0]
        np.testing.assert_allclose(rows[0], [0, 0, 0.75, *box], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(rows[1], [0, 0, 0.5, *PRIORS[1]])
        encoded = {**attrs, "code_type": code, "variance_encoded": 1}
        rows = run("DetectionOutput", [loc * VARIANCES.ravel(), conf, PRIOR], encoded)[0, 0]
        np.testing.assert_allclose(rows[0, 3:], box, rtol=1e-6, atol=1e-7)


def test_ties_over_classes() -> None:
    conf = np.asarray([[0.5, 0.5, 0.5, 0.5]], np.float32)  # prior 0: classes 0, 1; prior 1: the same
    attrs = {"num_classes": 2, "background_label": -1, "keep_top_k": 3, "nms_threshold": 1.0}
    rows = run("DetectionOutput", [np.zeros((1, 8), np.float32), conf, PRIOR], attrs)[0, 0]
    assert rows[:, 1].tolist() == [0, 0, 1]
    np.testing.assert_array_equal(rows[:, 3:], PRIORS[[0, 1, 0]])


def test_overlap_and_suppression() -> None:
    a = np.asarray([0, 0, 2, 2], np.float32)
    others = np.asarray([[1, 1, 3, 3], [2, 0, 4, 2], [0, 0, 2, 2], [2, 2, 0, 0], [np.nan, 0, 2, 2]], np.float32)
    np.testing.assert_array_equal(overlap(a, others), np.asarray([1 / 7, 0, 1, 0, 0], np.float32))
    boxes, scores = np.concatenate([a[None], others[:3]]), np.asarray([0.5, 0.9, 0.5, 0.7], np.float32)
    assert suppress(boxes, scores, 0.1, -1, 0.5, 1.0) == [1, 3, 2]
    assert suppress(boxes, scores, 0.1, 2, 0.5, 1.0) == [1, 3]
    assert suppress(boxes, scores, 0.5, -1, 0.1, 1.0) == [1]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"num_classes": 3}, DataError),
        ({"num_classes": 0}, DataError),
        ({"code_type": "polar"}, UnsupportedError),
        ({"extra": 1}, UnsupportedError),
    ],
)
def test_malformed(change: dict[str, Any], error: type[Exception]) -> None:
    inputs = [np.zeros((1, 8), np.float32), np.zeros((1, 4), np.float32), PRIOR]
    with pytest.raises(error):
        run_node("DetectionOutput", inputs, [("float32", (1, 1, 2, 7))], {"num_classes": 2, **change})


def test_output_shape_is_checked() -> None:
    inputs = [np.zeros((1, 8), np.float32), np.zeros((1, 4), np.float32), PRIOR]
    with pytest.raises(DataError, match=r"needs the shape \(1, 1, 2, 7\)"):
        run_node("DetectionOutput", inputs, [("float32", (1, 1, 3, 7))], {"num_classes": 2})


@st.composite
def yolo_heads(draw: st.DrawFn) -> tuple[list[Array], dict[str, Any]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, classes, anchors, heads = (draw(st.integers(1, n)) for n in (2, 3, 2, 2))
    inputs = []
    for _ in range(heads):
        shape = (images, anchors * (5 + classes), draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        x = np.round(rng.normal(0, 2, shape) * 2) / 2  # equal scores are frequent
        if draw(st.sampled_from([0, 0, 1])):
            x = np.where(rng.random(shape) < 0.1, rng.choice([np.nan, np.inf, 200.0, -200.0], shape), x)
        inputs.append(x.astype(np.float32))
    attrs = {
        "num_classes": classes,
        "anchors": [float(v) for v in rng.uniform(5, 60, heads * anchors * 2)],
        "scales": [int(v) for v in rng.choice([8, 16, 32], heads)],
        "confidence_threshold": draw(st.sampled_from([0.0, 0.01, 0.3])),
        "nms_threshold": draw(st.sampled_from([0.0, 0.45, 1.0])),
        "keep_top_k": draw(st.sampled_from([1, 5, 200])),
    }
    return inputs, attrs


@many
@given(yolo_heads())
def test_yolo_detection(case: tuple[list[Array], dict[str, Any]]) -> None:
    rows = run("YoloDetection", *case)[0, 0]
    used = rows[rows[:, 1] >= 0]
    keys = list(zip(used[:, 0], -used[:, 2], used[:, 1], strict=True))
    assert keys == sorted(keys) and (used[:, 2] > np.float32(case[1]["confidence_threshold"])).all()


def test_yolo_box() -> None:
    """One cell of two by two, by hand."""
    x = np.full((1, 6, 2, 2), -50, np.float32)
    x[0, :, 1, 0] = [0, np.log(3), np.log(2), 0, 50, 0]
    attrs = {"num_classes": 1, "anchors": [8.0, 16.0], "scales": [16], "keep_top_k": 3}
    rows = run("YoloDetection", [x], attrs)[0, 0]
    np.testing.assert_allclose(rows[0], [0, 0, 0.5, 0.25, (0.75 + 1) / 2, 2 * 8 / 32, 16 / 32], rtol=1e-6)
    assert (rows[1:] == -1).all()


@st.composite
def proposals(draw: st.DrawFn) -> tuple[list[Array], dict[str, Any]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, h, w = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    scores = rng.integers(0, 6, (1, 2 * count, h, w)) / 8
    deltas = rng.normal(0, 0.5, (1, 4 * count, h, w))
    if draw(st.sampled_from([0, 0, 1])):
        deltas = np.where(rng.random(deltas.shape) < 0.1, rng.choice([np.nan, np.inf, 99.0], deltas.shape), deltas)
    low = rng.uniform(-30, 0, (count, 2))
    attrs = {
        "anchors": [float(v) for v in np.concatenate([low, rng.uniform(1, 30, (count, 2))], 1).ravel()],
        "feat_stride": draw(st.sampled_from([4, 16])),
        "min_size": draw(st.sampled_from([0.0, 3.0, 16.0])),
        "pre_nms_top_n": draw(st.sampled_from([-1, 3, 100])),
        "post_nms_top_n": draw(st.sampled_from([1, 7])),
        "nms_threshold": draw(st.sampled_from([0.0, 0.5, 0.7])),
    }
    image = np.asarray([[rng.integers(10, 60), rng.integers(10, 60), rng.choice([1.0, 1.5])]])
    return [np.asarray(x, np.float32) for x in (scores, deltas, image)], attrs


@many
@given(proposals())
def test_proposal(case: tuple[list[Array], dict[str, Any]]) -> None:
    rows = run("Proposal", *case)
    assert (rows[:, 0] == 0).all() and rows.shape == (case[1]["post_nms_top_n"], 5)


def test_proposal_by_hand() -> None:
    """Two cells with one anchor of 16 pixels; the second box moves right by a quarter of its size."""
    scores = np.asarray([0.1, 0.2, 0.9, 0.95], np.float32).reshape(1, 2, 1, 2)
    deltas = np.zeros((1, 4, 1, 2), np.float32)
    deltas[0, 0, 0, 1] = 0.25
    attrs = {"anchors": [0.0, 0.0, 15.0, 15.0], "feat_stride": 16, "min_size": 8.0, "post_nms_top_n": 3}
    rows = run("Proposal", [scores, deltas, np.asarray([[20, 40, 1]], np.float32)], attrs)
    expected = [[0, 20, 0, 36, 16], [0, 0, 0, 16, 16], [0] * 5]
    np.testing.assert_allclose(rows, expected)


@st.composite
def regions(draw: st.DrawFn) -> tuple[list[Array], int, float]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    group, images = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    x = rng.normal(0, 1, (images, 2 * group * group, draw(st.integers(1, 7)), draw(st.integers(1, 7))))
    if draw(st.sampled_from([0, 0, 1])):
        x = np.where(rng.random(x.shape) < 0.1, rng.choice([np.nan, np.inf, -np.inf], x.shape), x)
    count = draw(st.integers(1, 4))
    corner = np.round(rng.uniform(-20, 110, (count, 4)) * 2) / 2  # halves, so that rounding shows
    rois = np.concatenate([rng.integers(0, images, (count, 1)), corner], 1)
    return [x.astype(np.float32), rois.astype(np.float32)], group, draw(st.sampled_from([1.0, 0.0625, 0.3]))


@many
@given(regions(), st.integers(1, 3))
def test_roi_max_pool(case: tuple[list[Array], int, float], rows: int) -> None:
    inputs, columns, scale = case
    shape = (len(inputs[1]), inputs[0].shape[1], rows, columns)
    run_node("RoiMaxPool", inputs, [("float32", shape)], {"pooled": [rows, columns], "spatial_scale": scale})


@many
@given(regions())
def test_ps_roi_pool(case: tuple[list[Array], int, float]) -> None:
    inputs, group, scale = case
    run("PsRoiPool", inputs, {"group_size": group, "output_dim": 2, "spatial_scale": scale})


@pytest.mark.parametrize("image", [-1.0, 1.0, np.nan])
def test_a_region_of_no_image(image: float) -> None:
    rois = np.asarray([[image, 0, 0, 1, 1]], np.float32)
    with pytest.raises(DataError, match="a region names an image"):
        run_node(
            "RoiMaxPool", [np.zeros((1, 1, 2, 2), np.float32), rois], [("float32", (1, 1, 1, 1))], {"pooled": [1, 1]}
        )


F7 = ("float32", (1, 1, 200, 7))
HEAD, X4, ROI = np.zeros((1, 6, 1, 1), np.float32), np.zeros((1, 4, 2, 2), np.float32), np.zeros((2, 5), np.float32)
YOLO = {"num_classes": 1, "anchors": [1.0, 1.0], "scales": [8]}
SCORES, DELTAS, IMAGE = (np.zeros(s, np.float32) for s in ((1, 2, 2, 2), (1, 4, 2, 2), (1, 3)))


@pytest.mark.parametrize(
    ("op", "inputs", "output", "attrs"),
    [
        ("YoloDetection", [HEAD], F7, {**YOLO, "num_classes": 2}),
        ("YoloDetection", [HEAD], F7, {**YOLO, "anchors": [1.0]}),
        ("YoloDetection", [HEAD], F7, {**YOLO, "scales": [8, 16]}),
        ("YoloDetection", [HEAD], ("float32", (1, 1, 9, 7)), YOLO),
        ("Proposal", [SCORES, DELTAS, IMAGE], ("float32", (300, 5)), {"anchors": [0.0] * 5}),
        ("Proposal", [SCORES, DELTAS, IMAGE], ("float32", (300, 5)), {"anchors": [0.0] * 8}),
        ("Proposal", [SCORES, DELTAS, IMAGE], ("float32", (9, 5)), {"anchors": [0.0] * 4}),
        ("RoiMaxPool", [X4, ROI], ("float32", (2, 4, 1, 1)), {"pooled": [1]}),
        ("RoiMaxPool", [X4, ROI], ("float32", (1, 4, 1, 1)), {"pooled": [1, 1]}),
        ("RoiMaxPool", [X4, SCORES], ("float32", (2, 4, 1, 1)), {"pooled": [1, 1]}),
        ("PsRoiPool", [X4, ROI], ("float32", (2, 1, 2, 2)), {"group_size": 2, "output_dim": 2}),
        ("PsRoiPool", [X4, ROI], ("float32", (2, 1, 1, 1)), {"group_size": 2, "output_dim": 1}),
    ],
)
def test_nodes_that_do_not_fit(op: str, inputs: list[Array], output: Any, attrs: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        run_node(op, inputs, [output], attrs)
