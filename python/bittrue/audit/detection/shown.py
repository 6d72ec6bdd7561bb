"""Which pictures a report shows, and what it says of their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bittrue.audit.detection.boxes import Detections
from bittrue.audit.detection.run import Compared, DetectResult, Fate

DRAWN = 200  # boxes of a network in a picture, the best scores first


def most_different(results: Sequence[DetectResult], count: int) -> list[int]:
    """Numbers of the pictures to show: those with most missing and extra boxes over all results, then those whose boxes
    overlap least, those without a box last."""

    def order(i: int) -> tuple[float, ...]:
        of = [r.compared[i] for r in results]
        least = min((p.overlap for c in of for p in c.matching.pairs), default=2.0)
        return -sum(c.differences for c in of), least, i

    return sorted(range(results[0].pictures), key=order)[:count]


def shown_boxes(compared: Compared, names: Sequence[str] = ()) -> dict[str, Any]:
    """The boxes of both networks in a picture with what became of them, for a page: the best DRAWN of them, but
    `counts` of all. names: of the classes."""
    return {
        "key": compared.picture.key,
        "counts": {"float": len(compared.reference), "quantized": len(compared.got)},
        "float": _boxes(compared.reference, compared.reference_fates, names),
        "quantized": _boxes(compared.got, compared.got_fates, names),
    }


def _boxes(found: Detections, fates: Sequence[Fate], names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "box": found.boxes[i].round(2).tolist(),
            "score": float(found.scores[i]),
            "class": _class_name(int(found.classes[i]), names),
            "points": found.points[i].round(2).tolist(),
            **asdict(fate),
        }
        for i, fate in enumerate(fates[:DRAWN])
    ]


def _class_name(number: int, names: Sequence[str]) -> str:
    """The name of a class, or its number where there is none."""
    return names[number] if number < len(names) else str(number)
