"""Heat maps: no differing channel gets lost, larger errors win, every layer with differences has its row."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bittrue.report.heatmap import COLUMNS, MARK, PALETTE, RELATIVE, STEPS, heatmaps, picture_row


def tensor(largest: list[Any], **more: Any) -> dict[str, Any]:
    channels = {"axis": 1, "bad": [int(v != 0) for v in largest], "max_abs": largest}
    bad = sum(channels["bad"])
    return {"name": "t", "layer": "conv", "dtype": "int8", "n": 99, "n_bad": bad, "channels": channels, **more}


def pixels(drawing: dict[str, Any]) -> np.ndarray:
    data = base64.b64decode(drawing["image"].removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def colour(k: int) -> list[int]:
    return [int(PALETTE[k][i : i + 2], 16) for i in (1, 3, 5)]


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 3000), st.data())
def test_every_differing_channel_shows(channels: int, data: st.DataObject) -> None:
    bad = data.draw(st.dictionaries(st.integers(0, channels - 1), st.integers(1, 255), max_size=8))
    errors = np.zeros(channels)
    for k, error in bad.items():
        errors[k] = error
    row = picture_row(errors, STEPS.limits)
    assert row.shape == (COLUMNS,) and np.count_nonzero(row) >= (MARK if bad else 0)
    for k, error in bad.items():
        start = min(k * COLUMNS // channels, COLUMNS - MARK)
        expected = 1 + sum(error > limit for limit in STEPS.limits)
        assert row[start : start + MARK].min() >= expected  # a larger error may cover it
    assert set(row) <= {0} | {1 + sum(e > limit for limit in STEPS.limits) for e in bad.values()}
    share = np.count_nonzero(row) / COLUMNS
    assert share <= len(bad) * max(1 / channels + 1 / COLUMNS, MARK / COLUMNS)


def test_scales() -> None:
    assert [int(picture_row(np.array([e, 0.0]), STEPS.limits)[0]) for e in (1, 2, 3, 4, 5, 128, 129)] == [
        1, 2, 3, 3, 4, 8, 9,
    ]  # fmt: skip
    for scale in (STEPS, RELATIVE):
        assert len(scale.labels) == len(scale.colours) == len(scale.limits) + 2


def test_rows_and_pixels() -> None:
    layers = [
        tensor([0, 3, 0, 200]),
        tensor([0, 0], n_bad=0),
        tensor([1], name="one channel"),
        tensor([0.0, 0.5], dtype="float32", scale=0.25, lsb_hist={"+2": 1}),
        tensor([0.0, 1e-3], dtype="float32", rmse=1e-3, sqnr_db=60.0),
        tensor([0.0, 1e-3], dtype="float32", rmse=1e-3, sqnr_db=None),
        tensor([0.0, "NaN"], dtype="float32", rmse="NaN", sqnr_db="NaN"),
    ]
    steps, relative = heatmaps(layers)
    image = pixels(steps)
    assert image.shape == (2, COLUMNS, 3) and [line["bad"] for line in steps["lines"]] == [2, 1]
    quarter = COLUMNS // 4
    assert [image[0, quarter * k + 5].tolist() for k in range(4)] == [colour(k) for k in (0, 3, 0, 9)]
    assert image[1, -1].tolist() == colour(2)  # 0.5 is two steps of 0.25
    image = pixels(relative)
    assert [image[k, -1].tolist() for k in range(3)] == [colour(4), colour(9), colour(9)]  # 1e-3 of an RMS of 1
    assert heatmaps([]) == []


def test_a_channel_that_differs_by_nan_only_is_infinitely_wrong() -> None:
    layer = tensor([0.0, 1e-3, 0.0, 0.0], dtype="float32", rmse=1e-3, sqnr_db=60.0)
    layer["channels"]["bad"] = [0, 1, 2, 0]
    (drawing,) = heatmaps([layer])
    quarter = COLUMNS // 4
    assert [pixels(drawing)[0, quarter * k + 5].tolist() for k in range(4)] == [colour(k) for k in (0, 4, 9, 0)]


def test_many_rows_stay_one_page() -> None:
    (drawing,) = heatmaps([tensor([1, 0], layer=f"conv{k}") for k in range(300)])
    assert drawing["height"] <= 1301 and len(drawing["lines"]) == 300
    assert sum(bool(line["name"]) for line in drawing["lines"]) == -(-300 // drawing["every"])
