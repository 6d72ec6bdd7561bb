"""Layer x channel error heat maps: packed pictures on logarithmic scales, a row per layer with differences.

A row spans all channels of its layer whatever their number. A picture column stands for several channels where a layer
has more channels than columns, and shows the largest error among them; every differing channel is at least MARK columns
wide, so that none gets lost when a browser shrinks the picture.
"""

from __future__ import annotations

import base64
import io
import math
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bittrue.report.show import finite, one_line, parse_number, shorten

COLUMNS, MARK = 1024, 2
NAME_LETTERS = 34
TALLEST, LOWEST, HIGHEST = 1300.0, 4.0, 15.0  # of the drawing and of a row, user units
NAMED_FROM = 9.0  # height from which every row has its name
Array = np.ndarray[Any, Any]


class Scale(NamedTuple):
    """The errors up to limits[k] have colours[k + 1]; larger ones the last. colours[0] is no error."""

    title: str
    unit: str
    limits: list[float]
    labels: list[str]
    colours: list[str]


PALETTE = ["#f2f5f8", "#fde7b0", "#fdd07c", "#fbb254", "#f68f3c", "#e96a30", "#d2452c", "#ad2430", "#7d1239", "#470839"]
STEPS = Scale(
    "Integer layers: largest difference per channel, in steps (LSB)",
    "LSB",
    [1, 2, 4, 8, 16, 32, 64, 128],
    ["0", "1", "2", "3–4", "5–8", "9–16", "17–32", "33–64", "65–128", "> 128"],
    PALETTE,
)
RELATIVE = Scale(
    "Float layers: largest difference per channel, as a share of the layer's RMS",
    "x RMS",
    [2.0**-k for k in (20, 16, 12, 8, 6, 4, 2, 0)],
    ["0", "≤ 2⁻²⁰", "2⁻¹⁶", "2⁻¹²", "2⁻⁸", "2⁻⁶", "2⁻⁴", "2⁻²", "1", "> 1"],
    PALETTE,
)


def heatmaps(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The maps that have rows. tensors: one per name, in execution order."""
    rows: dict[str, list[dict[str, Any]]] = {STEPS.unit: [], RELATIVE.unit: []}
    for t in tensors:
        values = _channel_errors(t)
        if values is not None:
            errors, scale = values
            rows[scale.unit].append({"t": t, "errors": errors})
    return [_drawing(scale, rows[scale.unit]) for scale in (STEPS, RELATIVE) if rows[scale.unit]]


def _channel_errors(t: dict[str, Any]) -> tuple[Array, Scale] | None:
    """Largest error per channel in the unit of its scale; None for tensors without differing channels."""
    channels = t.get("channels") or {}
    largest, bad = channels.get("max_abs") or [], channels.get("bad") or []
    if channels.get("axis") is None or len(largest) < 2 or len(bad) != len(largest) or not t.get("n_bad"):
        return None
    # A channel that differs by NaN or infinity only has no largest finite difference.
    errors = np.array([_or_infinite(v) if v or not count else math.inf for v, count in zip(largest, bad, strict=True)])
    if str(t.get("dtype") or "").startswith(("int", "uint", "bool")):
        return errors, STEPS
    if t.get("lsb_hist") and finite(t.get("scale")):
        return np.rint(errors / float(t["scale"])), STEPS
    rmse, sqnr = finite(t.get("rmse")), finite(t.get("sqnr_db"))
    if not rmse or sqnr is None:  # the layer has no signal to relate the error to
        return np.where(errors > 0, math.inf, 0.0), RELATIVE
    return errors / (rmse * 10 ** (sqnr / 20)), RELATIVE


def _or_infinite(value: Any) -> float:
    """NaN and what is no number count as infinitely wrong."""
    number = parse_number(value)
    return math.inf if number is None or math.isnan(number) else abs(number)


def picture_row(errors: Array, limits: list[float]) -> Array:
    """Colour indices (uint8, shape (COLUMNS,)) of a layer's channels."""
    index = np.where(errors > 0, 1 + np.searchsorted(np.array(limits), errors), 0).astype(np.uint8)
    channels = np.arange(len(index))
    starts = np.minimum(channels * COLUMNS // len(index), COLUMNS - MARK)
    ends = np.maximum((channels + 1) * COLUMNS // len(index), starts + MARK)
    row = np.zeros(COLUMNS, np.uint8)
    for level in np.unique(index[index > 0]):  # larger errors are painted over smaller ones
        edges = np.zeros(COLUMNS + 1, np.int64)
        np.add.at(edges, starts[index == level], 1)
        np.add.at(edges, ends[index == level], -1)
        row[np.cumsum(edges[:-1]) > 0] = level
    return row


def _drawing(scale: Scale, rows: list[dict[str, Any]]) -> dict[str, Any]:
    picture = np.stack([picture_row(row["errors"], scale.limits) for row in rows])
    height = min(HIGHEST, max(LOWEST, TALLEST / len(rows)))
    every = 1 if height >= NAMED_FROM else math.ceil(11 / height)
    lines = []
    for k, row in enumerate(rows):
        t, errors = row["t"], row["errors"]
        bad = int(np.count_nonzero(errors))
        worst = int(np.argmax(errors))
        name = one_line(t.get("layer") or t.get("name") or "")
        title = (
            f"{name}: {bad} of {len(errors)} channels differ, most channel {worst} by {errors[worst]:.4g} {scale.unit}"
        )
        shown = shorten(name, NAME_LETTERS) if k % every == 0 else ""
        lines.append({"y": round(k * height, 2), "name": shown, "bad": bad, "channels": len(errors), "title": title})
    return {
        "title": scale.title,
        "legend": list(zip(scale.colours, scale.labels, strict=True)),
        "image": _png(picture, scale.colours),
        "row_height": round(height, 2),
        "height": round(height * len(rows), 2),
        "lines": lines,
        "every": every,
    }


def _png(indices: Array, colours: list[str]) -> str:
    """A palette picture as a data URI."""
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette([int(c[i : i + 2], 16) for c in colours for i in (1, 3, 5)])
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
