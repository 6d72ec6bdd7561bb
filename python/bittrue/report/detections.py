"""Views of compared detections: each picture twice, with the boxes of the float and of the quantized network."""

from __future__ import annotations

import re
from typing import Any

from bittrue.report.show import finite, shorten, show_number

# The only pictures a page takes: data inside it, whatever a stored result says.
PICTURE = re.compile(r"data:image/(jpeg|png);base64,[A-Za-z0-9+/=]*")
STATES = {"matched": "found by both", "missing": "only by float", "extra": "only by quantized"}
VIEW = 480  # width of a drawing, in its own units
LETTER, LINE = 6.2, 13  # of a box's label
PRECISIONS = (
    ("voc07", "VOC 2007 (11 points)"),
    ("voc", "VOC (every point)"),
    ("coco50", "COCO 0.5"),
    ("coco", "COCO 0.5:0.95"),
)


def picture_copies(audit: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Key of a picture -> its `id` on the page, its data URI, and the width and height of its drawing; those without a
    usable picture are left out."""
    copies: dict[str, dict[str, Any]] = {}
    for key, picture in (audit.get("pictures") or {}).items():
        width, height = finite(picture.get("width")), finite(picture.get("height"))
        image = str(picture.get("image"))
        if width and height and width > 0 and height > 0 and PICTURE.fullmatch(image):
            scale = VIEW / width
            copies[key] = {
                "id": f"picture{len(copies)}", "image": image, "width": VIEW, "height": round(height * scale, 1),
                "scale": scale,
            }  # fmt: skip
    return copies


def detection_views(entry: dict[str, Any], copies: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The pictures of one target: {key, picture, sides: [{name, count, boxes}]}."""
    views = []
    for shown in (entry.get("detect") or {}).get("shown") or []:
        copy = copies.get(str(shown.get("key")))
        if copy is None:
            continue
        counts = shown.get("counts") or {}
        sides = [
            {"name": name, "count": counts.get(name), "boxes": [_drawn(b, copy) for b in shown.get(name) or []]}
            for name in ("float", "quantized")
        ]
        views.append({"key": shown["key"], "picture": copy, "sides": sides})
    return views


def precision_rows(detect: dict[str, Any]) -> list[dict[str, Any]]:
    """Rules of average precision with the values against float and, if there are labels, of both against them."""
    labels = detect.get("against_labels") or {}
    return [
        {
            "name": name,
            "float": (detect.get("against_float") or {}).get(key),
            "label_float": (labels.get("float") or {}).get(key),
            "label_quantized": (labels.get("quantized") or {}).get(key),
        }
        for key, name in PRECISIONS
    ]


def _drawn(box: dict[str, Any], copy: dict[str, Any]) -> dict[str, Any]:
    """A box in units of the drawing, its label above it or, at the upper edge, inside."""
    scale = copy["scale"]
    x0, y0, x1, y1 = ((finite(v) or 0.0) * scale for v in [*box.get("box", []), 0, 0, 0, 0][:4])
    state = str(box.get("state")) if box.get("state") in STATES else "extra"
    label = f"{shorten(box.get('class'), 16)} {show_number(round(finite(box.get('score')) or 0.0, 3), 3)}"
    width = len(label) * LETTER + 4
    return {
        "x": round(x0, 1),
        "y": round(y0, 1),
        "width": round(max(x1 - x0, 1), 1),
        "height": round(max(y1 - y0, 1), 1),
        "state": state,
        "title": ", ".join(_title(box, label, state)),
        "label": label,
        "label_x": round(min(x0, copy["width"] - width), 1),
        "label_y": round(y0 - LINE if y0 >= LINE else y0, 1),
        "label_width": round(width, 1),
        "points": [[round((finite(v) or 0.0) * scale, 1) for v in p[:2]] for p in box.get("points") or []],
    }


def _title(box: dict[str, Any], label: str, state: str) -> list[str]:
    """What a pointer on a box says."""
    parts = [label, STATES[state]]
    if finite(box.get("overlap")) is not None:
        parts.append(f"overlap {show_number(box['overlap'])}")
    if finite(box.get("other_score")) is not None:
        parts.append(f"score of the other {show_number(box['other_score'], 3)}")
    return parts
