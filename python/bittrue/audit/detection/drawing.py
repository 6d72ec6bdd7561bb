"""Pictures with boxes: small copies for reports, and files for the vendor's demos."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import ImageDraw

from bittrue.audit.detection.boxes import Detections
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
