"""Pictures with boxes: small copies for reports, and files for the vendor's demos."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import ImageDraw

from bittrue.audit.detection.boxes import Detections
from bittrue.audit.detection.run import Compared, DetectResult
from bittrue.calibrate.data import open_picture
from bittrue.containers.bmodel import write_atomic

SIDE, QUALITY = 480, 80  # of the copies in reports: longer side in pixels, JPEG
COLOUR, WIDTH = (0, 200, 80), 2


def small_copy(path: Path) -> dict[str, Any]:
    """A picture for a page: its width and height, and a copy of at most SIDE pixels as a data URI."""
    picture = open_picture(path).convert("RGB")
    width, height = picture.size
    picture.thumbnail((SIDE, SIDE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=QUALITY, optimize=True)
    image = f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
    return {"width": width, "height": height, "image": image}


def most_different(results: Sequence[DetectResult], count: int) -> list[int]:
    """Numbers of the pictures to show: those with most missing and extra boxes over all results, then those whose boxes
    overlap least, those without a box last."""

    def order(i: int) -> tuple[float, ...]:
        of = [r.compared[i] for r in results]
        wrong = sum(len(c.matching.missing) + len(c.matching.extra) for c in of)
        least = min((p.overlap for c in of for p in c.matching.pairs), default=2.0)
        return -wrong, least, i

    return sorted(range(results[0].pictures), key=order)[:count]


def shown_boxes(compared: Compared, names: Sequence[str] = ()) -> dict[str, Any]:
    """The boxes of both networks in a picture with what became of them, for a page. names: of the classes."""
    matching = compared.matching
    matched = [
        {p.reference: p.overlap for p in matching.pairs},
        {p.got: p.overlap for p in matching.pairs},
    ]
    other = [
        {p.reference: float(compared.got.scores[p.got]) for p in matching.pairs}
        | dict(zip(matching.missing, compared.missing_scores, strict=True)),
        {p.got: float(compared.reference.scores[p.reference]) for p in matching.pairs}
        | dict(zip(matching.extra, compared.extra_scores, strict=True)),
    ]
    return {
        "key": compared.picture.key,
        "float": _boxes(compared.reference, matched[0], other[0], "missing", names),
        "quantized": _boxes(compared.got, matched[1], other[1], "extra", names),
    }


def class_name(number: int, names: Sequence[str]) -> str:
    """The name of a class, or its number where there is none."""
    return names[number] if 0 <= number < len(names) else str(number)


def _boxes(
    found: Detections,
    matched: Mapping[int, float],
    other_scores: Mapping[int, float | None],
    otherwise: str,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    return [
        {
            "box": [round(float(v), 2) for v in found.boxes[i]],
            "score": float(found.scores[i]),
            "other_score": other_scores[i],
            "class": class_name(int(found.classes[i]), names),
            "state": "matched" if i in matched else otherwise,
            "overlap": matched.get(i),
            "points": [[round(float(v), 2) for v in point] for point in found.points[i]],
        }
        for i in range(len(found))
    ]


def write_picture(path: Path, found: Detections, out: Path) -> None:
    """A copy of a picture as PNG with boxes, scores and landmarks on it. Raises DataError for a broken picture."""
    picture = open_picture(path).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for box, score, points in zip(found.boxes, found.scores, found.points, strict=True):
        pen.rectangle([float(v) for v in box], outline=COLOUR, width=WIDTH)
        pen.text((float(box[0]), max(0.0, float(box[1]) - 12)), f"{score:.2f}", fill=COLOUR)
        for x, y in points:
            pen.ellipse([float(x) - WIDTH, float(y) - WIDTH, float(x) + WIDTH, float(y) + WIDTH], fill=COLOUR)
    data = io.BytesIO()
    picture.save(data, "PNG")
    write_atomic(out, data.getvalue())
