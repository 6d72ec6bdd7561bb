"""The SQNR of every layer as a curve: accumulated (as it ran) and local (simulated alone on the reference's inputs)."""

from __future__ import annotations

import math
from typing import Any

from bittrue.report.show import one_line, parse_number, show_db

WIDTH, LEFT, RIGHT = 1064.0, 46.0, 1054.0
EXACT, TOP, BOTTOM = 16.0, 40.0, 226.0  # y of layers without noise, of the largest and of the smallest SQNR
TICK, SMALLEST_TOP, LARGEST_TOP = 20, 40, 120  # dB
MARKED = 1500  # points with a tooltip
STEMS = 100  # layers whose two points are joined


def sqnr_curve(tensors: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Lines and marks of the drawing; None if fewer than two layers have a value or none has noise.

    tensors: one per name, in execution order. Values outside the scale stand at its ends; the tooltip has the number.
    """
    accumulated = [parse_number(t.get("sqnr_db")) for t in tensors]
    local = [parse_number((t.get("local") or {}).get("sqnr_db")) for t in tensors]
    noisy = [v for v in (*accumulated, *local) if v is not None and math.isfinite(v)]
    if not noisy or sum(v is not None and not math.isnan(v) for v in accumulated) < 2:
        return None
    top = min(max(TICK * math.ceil(max(noisy) / TICK), SMALLEST_TOP), LARGEST_TOP)
    bottom = -TICK if min(noisy) < 0 else 0
    step = (RIGHT - LEFT - 16) / (len(tensors) - 1)

    def place(k: int, value: float) -> tuple[float, float]:
        share = (min(max(value, bottom), top) - bottom) / (top - bottom)
        y = EXACT if value == math.inf else BOTTOM - share * (BOTTOM - TOP)
        return round(LEFT + 8 + k * step, 1), round(y, 1)

    points = [place(k, v) if v is not None and not math.isnan(v) else None for k, v in enumerate(accumulated)]
    marks = [
        {"x": p[0], "y": p[1], "title": _title(tensors[k]), "state": tensors[k]["state"]}
        for k, p in enumerate(points)
        if p and accumulated[k] != math.inf
    ]
    joined = sum(v is not None for v in local) <= STEMS
    alone = [
        {"x": x, "y": y, "from": points[k] if joined else None, "title": _title(tensors[k])}
        for k, v in enumerate(local)
        if v is not None and not math.isnan(v)
        for x, y in [place(k, v)]
    ]
    every = max(1, math.ceil(len(tensors) / 20))
    return {
        "width": WIDTH,
        "left": LEFT,
        "right": RIGHT,
        "exact": EXACT,
        "bottom": BOTTOM,
        "line": _line(points),
        "marks": marks[:MARKED],
        "local": alone[:MARKED],
        "ticks": [{"db": db, "y": place(0, db)[1]} for db in range(bottom, top + 1, TICK)],
        "labels": [
            {"x": round(LEFT + 8 + k * step, 1), "text": one_line(tensors[k].get("index", k))}
            for k in range(0, len(tensors), every)
        ],
    }


def _line(points: list[tuple[float, float] | None]) -> str:
    """Path through the points; layers without a value leave a gap."""
    data, drawing = [], False
    for p in points:
        if p:
            data.append(f"{'L' if drawing else 'M'}{p[0]:g} {p[1]:g}")
        drawing = p is not None
    return "".join(data)


def _title(t: dict[str, Any]) -> str:
    name = one_line(f"{t.get('index', '')} {t.get('layer') or t.get('name') or ''}")
    local = (t.get("local") or {}).get("sqnr_db")
    alone = f", alone {show_db(local)} dB" if local is not None else ""
    return f"{name}: {show_db(t.get('sqnr_db'))} dB{alone}"
