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

many = settings(max_examples=120, deadline=None)


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
