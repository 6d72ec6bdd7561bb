"""The estimated timeline of a command stream as rectangles for the HTML page."""

from __future__ import annotations

from typing import Any

WIDTH, LANE, GAP, LABELS = 1060.0, 18.0, 4.0, 48.0
STRIPS = 6
SMALLEST = 0.35  # narrower neighbours are drawn as one
ENGINES = ("bdc", "gdma")
STYLES = {
    "conv": "conv",
    "window": "conv",
    "matmul": "conv",
    "S2L": "move",
    "L2S": "move",
    "S2S": "move",
    "L2L": "move",
}


def timeline(profile: dict[str, Any]) -> dict[str, Any] | None:
    """Strips of equal time, one lane per engine; None without commands.

    profile: the `profile` part of a stored result, whose `timeline` holds [engine, operation, start, cycles, label].
    """
    commands = profile.get("timeline") or []
    total = max((start + cycles for _, _, start, cycles, _ in commands), default=0)
    if not total:
        return None
    span = total / STRIPS
    strips: list[dict[str, Any]] = [
        {"top": k * (2 * LANE + 3 * GAP), "from": round(k * span), "boxes": []} for k in range(STRIPS)
    ]
    for engine, operation, start, cycles, label in commands:
        style = STYLES.get(operation.split(".")[0], "other")
        first, last = int(start // span), min(STRIPS - 1, int((start + cycles - 1) // span))
        for k in range(first, last + 1):
            begin, end = max(start, k * span), min(start + cycles, (k + 1) * span)
            left = LABELS + (begin - k * span) / span * (WIDTH - LABELS)
            width = (end - begin) / span * (WIDTH - LABELS)
            _add(strips[k], engine, style, left, width, f"{label} {operation}, {cycles:,} cycles from {start:,}")
    height = STRIPS * (2 * LANE + 3 * GAP)
    return {"width": WIDTH, "height": height, "lane": LANE, "strips": strips, "engines": ENGINES, "gap": GAP}


def _add(strip: dict[str, Any], engine: str, style: str, left: float, width: float, title: str) -> None:
    y = strip["top"] + ENGINES.index(engine) * (LANE + GAP)
    last = next((b for b in reversed(strip["boxes"]) if b["y"] == y), None)
    if last and last["style"] == style and width < SMALLEST and left - (last["x"] + last["w"]) < SMALLEST:
        last["w"] = left + width - last["x"]
        last["title"] = last["title"].split(" and ")[0] + " and following"
        return
    strip["boxes"].append({"x": left, "y": y, "w": max(width, 0.2), "style": style, "title": title})
