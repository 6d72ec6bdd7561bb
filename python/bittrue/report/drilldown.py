"""What is known about the layers that fail: causes, metrics of both runs, histogram, channels, elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bittrue.report.show import (
    finite,
    one_line,
    parse_number,
    show_cosine,
    show_db,
    show_number,
    show_percent,
)
from bittrue.verify.metrics import BIN_NAMES

LAYERS, CHANNELS, ELEMENTS, INHERITING = 20, 10, 16, 12  # listed at most
ORDER = {"born": 0, "both": 0, "unresolved": 0, "missing": 1, "failed": 2, "inherited": 3}
METRICS: list[tuple[str, str, Callable[[Any], str]]] = [
    ("differing elements", "n_bad", show_number),
    ("share", "bad_fraction", show_percent),
    ("largest difference, steps", "lsb_max", show_number),
    ("mean difference, steps", "lsb_mean", show_number),
    ("mean |difference|, steps", "lsb_mean_abs", show_number),
    ("largest difference", "max_abs", show_number),
    ("largest relative difference", "max_rel", show_number),
    ("largest distance, ULP", "ulp_max", show_number),
    ("bias (mean difference)", "bias", show_number),
    ("RMSE", "rmse", show_number),
    ("relative L1", "rel_l1", show_number),
    ("relative L2", "rel_l2", show_number),
    ("mean relative error", "mre", show_number),
    ("cosine", "cosine", show_cosine),
    ("SQNR, dB", "sqnr_db", show_db),
    ("SQNR without means, dB", "sqnr_centered_db", show_db),
]
PAIRS: list[tuple[str, str, Callable[[Any], str]]] = [
    ("at lowest value, reference / run", "low", show_percent),
    ("at highest value, reference / run", "high", show_percent),
    ("NaN, reference / run", "nan_count", show_number),
    ("infinite, reference / run", "inf_count", show_number),
]


def worst_first(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Failing tensors (with `state`): those where an error was born in execution order, what cannot be compared, then
    the others by how much they differ. tensors: one per name."""

    def key(t: dict[str, Any]) -> tuple[int, float]:
        order = ORDER.get(t["state"], 2)
        return order, _noise(t) if order > 1 else 0.0

    return sorted((t for t in tensors if not t["ok"]), key=key)


def _noise(t: dict[str, Any]) -> float:
    value = parse_number(t.get("sqnr_db"))
    return -math.inf if value is None or math.isnan(value) else value


def drill_down(t: dict[str, Any], layers: dict[str, str]) -> dict[str, Any]:
    """The parts of a layer's section. layers: names of the layers by tensor name."""
    local = t.get("local") or {}
    causes, explains = t.get("causes") or [], t.get("explains") or []
    histograms = [("Steps of difference", histogram(t.get("lsb_hist") or {}))]
    if local.get("lsb_hist") and local["lsb_hist"] != t.get("lsb_hist"):
        histograms.append(("Steps of difference, alone", histogram(local["lsb_hist"])))
    return {
        "t": t,
        "causes": causes,
        "also": [c for c in causes[1:] if c.get("status") != "UNKNOWN"],
        "metrics": _metrics(t, local),
        "has_local": bool(local),
        "histograms": [(title, bars) for title, bars in histograms if bars],
        "places": [_place(t, w) for w in (t.get("worst") or [])[:ELEMENTS]],
        "channels": _channels(t),
        "explains": [layers.get(name, name) for name in explains[:INHERITING]],
        "explains_more": max(0, len(explains) - INHERITING),
        "explains_count": len(explains),
    }


def histogram(counts: dict[str, Any]) -> list[dict[str, Any]]:
    """A bar per difference (or range of differences) from the smallest to the largest that occurs, equal elements left
    out; `share` of the differing elements, and of the longest bar."""
    differing = {name: int(counts.get(name) or 0) for name in BIN_NAMES if name != "0"}
    used = [k for k, count in enumerate(differing.values()) if count]
    if not used:
        return []
    total, longest = sum(differing.values()), max(differing.values())
    names = list(differing)[used[0] : used[-1] + 1]
    return [
        {
            "name": (name if name[0] in "-<>" else f"+{name}").replace("..", " … ").replace("-", "−"),
            "count": differing[name],
            "share": differing[name] / total,
            "length": differing[name] / longest,
        }
        for name in names
    ]


def _metrics(t: dict[str, Any], local: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(name, as it ran, alone) of the metrics that either has."""
    rows = []
    for name, key, show in METRICS:
        if t.get(key) is not None or local.get(key) is not None:
            rows.append((name, show(t.get(key)), show(local.get(key)) if local else ""))
    for name, key, show in PAIRS:
        values = [_pair(side, key) for side in (t, local)]
        if any(v and any(v) for v in values):
            ran, alone = (" / ".join(map(show, v)) if v else "–" for v in values)
            rows.append((name, ran, alone if local else ""))
    return rows


def _pair(side: dict[str, Any], key: str) -> list[Any]:
    """What reference and run have; empty if unknown."""
    if key not in ("low", "high"):
        return list(side.get(key) or [])
    shares = [list(side.get(name) or []) for name in ("sat_ref", "sat_got")]
    return [s[0 if key == "low" else 1] for s in shares] if all(len(s) == 2 for s in shares) else []


def _place(t: dict[str, Any], w: dict[str, Any]) -> dict[str, Any]:
    """An element: its index, both values, their difference, and both as real numbers where the scale is known."""
    ref, got = parse_number(w.get("ref")), parse_number(w.get("got"))
    integer = str(t.get("dtype") or "").startswith(("int", "uint"))
    scale, zero = finite(t.get("scale")) if integer else None, finite(t.get("zero_point")) or 0.0
    return {
        "index": ", ".join(map(str, w.get("index") or [])),
        "ref": one_line(w.get("ref")),
        "got": one_line(w.get("got")),
        "difference": None if ref is None or got is None else got - ref,
        "real": [(v - zero) * scale for v in (ref, got) if v is not None] if scale else None,
    }


def _channels(t: dict[str, Any]) -> dict[str, Any] | None:
    """The channels with the largest differences, and how many differ."""
    c = t.get("channels") or {}
    bad, largest = c.get("bad") or [], c.get("max_abs") or []
    if c.get("axis") is None or len(bad) < 2 or len(largest) != len(bad):
        return None
    differing = [k for k, count in enumerate(bad) if count]
    order = sorted(differing, key=lambda k: (finite(largest[k]) or math.inf, bad[k]), reverse=True)
    bias, sqnr = (list(c.get(key) or []) + [None] * len(bad) for key in ("bias", "sqnr_db"))
    each = (t.get("n") or 0) / len(bad)
    rows = [
        {
            "k": k,
            "bad": bad[k],
            "share": bad[k] / each if each else None,
            "max": largest[k],
            "bias": bias[k],
            "db": sqnr[k],
        }
        for k in order[:CHANNELS]
    ]
    return {"rows": rows, "differing": len(differing), "all": len(bad), "axis": c["axis"]}
