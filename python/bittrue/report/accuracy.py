"""Views of an audit: float against quantized on labelled data, and the layers that lose most."""

from __future__ import annotations

import math
from typing import Any

from bittrue.report.show import parse_number

SHORT_LIST = 40  # longer charts are drawn as columns
LISTED_WORST = 12
TICK_DB, SMALLEST_TOP_DB, LARGEST_TOP_DB = 20, 40, 120


def sqnr_bars(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """Bars of the signal to quantization noise; exact layers fill the scale, layers without signal have no bar."""
    values = [parse_number(layer.get("sqnr_db")) for layer in layers]
    finite = [v for v in values if v is not None and math.isfinite(v)]
    top = min(max(TICK_DB * math.ceil(max(finite, default=0) / TICK_DB), SMALLEST_TOP_DB), LARGEST_TOP_DB)
    worst = min(finite, default=None)
    bars: list[dict[str, Any]] = []
    for i, (layer, value) in enumerate(zip(layers, values, strict=True)):
        share = 0.0 if value is None or math.isnan(value) else min(max(value, 0.0), top) / top
        style = "exact" if value == math.inf else "worst" if value is not None and value == worst else "bar"
        bars.append({"i": i, "layer": layer, "value": value, "share": share, "style": style})
    lowest = sorted((b for b in bars if b["style"] != "exact" and b["value"] is not None), key=lambda b: b["value"])
    rows = bars if len(bars) <= SHORT_LIST else lowest[:LISTED_WORST]
    return {
        "bars": bars,
        "rows": rows,
        "columns": bars if len(bars) > SHORT_LIST else [],
        "ticks": [{"db": db, "share": db / top} for db in range(0, top + 1, TICK_DB)],
    }


def paired_table(audit: dict[str, Any]) -> dict[str, int] | None:
    """The four cells of the paired table, if the counts fit together."""
    n = audit.get("labelled", audit.get("samples"))
    lost, gained = audit.get("lost"), audit.get("gained")
    rates = [parse_number((audit.get(side) or {}).get("top1")) for side in ("float", "quantized")]
    if not n or lost is None or gained is None or rates[0] is None or rates[1] is None:
        return None
    right, right_quantized = round(rates[0] * n), round(rates[1] * n)
    both = right - lost
    neither = n - both - lost - gained
    if min(both, neither) < 0 or both + gained != right_quantized:
        return None
    return {"both": both, "lost": lost, "gained": gained, "neither": neither, "n": n}


def intervals(audit: dict[str, Any]) -> list[dict[str, Any]]:
    """Top-1 of both sides with their intervals, placed on a common scale."""
    sides: list[dict[str, Any]] = []
    for name in ("float", "quantized"):
        rates = audit.get(name) or {}
        low, high = (parse_number(v) for v in [*(rates.get("top1_interval") or []), None, None][:2])
        sides.append({"name": name, "top1": parse_number(rates.get("top1")), "top5": rates.get("top5")})
        sides[-1].update(low=low, high=high)
    ends = [v for s in sides for v in (s["top1"], s["low"], s["high"]) if v is not None and math.isfinite(v)]
    if not ends:
        return []
    bottom, top = min(ends), max(ends)
    span = (top - bottom) or 1.0
    for s in sides:
        for key in ("top1", "low", "high"):
            value = s[key]
            s[f"{key}_x"] = None if value is None else round(10 + 200 * (value - bottom) / span, 1)
    return sides
