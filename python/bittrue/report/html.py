"""A result as one self-contained HTML page: no network, no scripts, printable."""

from __future__ import annotations

import math
from typing import Any

from jinja2 import Environment, PackageLoader, Undefined

from bittrue.report.audit_text import comparison_rows
from bittrue.report.timeline import timeline
from bittrue.verify.verdict import PASSING

EVIDENCE = {
    "measured": "bit-compared with recordings of the vendor's simulator or device",
    "documented": "stated in the vendor's documentation",
    "source": "read in the vendor's published source code",
    "assumed": "our choice; not checked against the vendor",
}
SHORT_LIST = 40  # longer tables are folded and longer charts are drawn as columns
LISTED_FAILURES = 10
LISTED_PLACES = 4
LISTED_WORST = 12
TICK_DB, SMALLEST_TOP_DB, LARGEST_TOP_DB = 20, 40, 120


def render_html(result: dict[str, Any]) -> str:
    """The page for a result in the form of `Result.to_dict()`; absent parts are left out."""
    environment = Environment(
        loader=PackageLoader("bittrue", "report/templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.filters.update(
        number=show_number,
        percent=show_percent,
        count=show_count,
        cosine=show_cosine,
        db=show_db,
        p=show_p,
        short=shorten,
    )
    audit = result.get("audit") or {}
    layers = audit.get("layers") or []
    nets = [_net(net, i) for i, net in enumerate(result.get("nets") or [])]
    return environment.get_template("report.html.j2").render(
        r=result,
        model=result.get("model") or {},
        target=result.get("target") or {},
        summary=result.get("summary") or {},
        badge=_badge(result, nets),
        audit=audit,
        pairs=_pairs(audit),
        intervals=_intervals(audit),
        layers=layers,
        target_rows=comparison_rows(audit.get("targets") or []),
        chart=_chart(layers),
        short_list=SHORT_LIST,
        nets=nets,
        profile=result.get("profile") or {},
        timeline=timeline(result.get("profile") or {}),
        evidence=_evidence((result.get("target") or {}).get("evidence") or {}),
        facts=_facts(result),
    )


def parse_number(value: Any) -> float | None:
    """A number of the stored form; None for absent values and for text that is no number."""
    try:
        return None if value is None or isinstance(value, Undefined) else float(value)
    except (TypeError, ValueError):
        return None


def show_number(value: Any, digits: int = 4) -> str:
    """Significant digits; whole numbers in full with thousands separated."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace("-", "−")
    number = parse_number(value)
    if number is None or math.isnan(number):
        return "–" if number is None else "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number.is_integer() and abs(number) < 1e15:
        return f"{number:,.0f}".replace("-", "−")
    return f"{number:.{digits}g}".replace("-", "−")


def show_count(value: Any) -> str:
    """A whole number; nothing counted is a dash."""
    return show_number(value)


def show_percent(value: Any, digits: int = 2) -> str:
    """A share of one as percent. Only a true 1 reads as 100 %, only a true 0 as 0 %."""
    number = parse_number(value)
    if number is None or not math.isfinite(number):
        return "–"
    step = 10.0**-digits
    if number < 1 and round(100 * number, digits) >= 100:
        return f"> {100 - step:.{digits}f} %"
    if number > 0 and round(100 * number, digits) <= 0:
        return f"< {step:.{digits}f} %"
    return f"{100 * number:.{digits}f} %"


def show_cosine(value: Any) -> str:
    """Six digits. Only 1, up to the rounding of its own double arithmetic, reads as 1."""
    number = parse_number(value)
    if number is None or not math.isfinite(number):
        return show_number(value)
    if number < 1 - 1e-12 and round(number, 6) >= 1:
        return "> 0.999999"
    return f"{number:.6f}".replace("-", "−")


def show_db(value: Any) -> str:
    """Decibels with one digit; `exact` without noise."""
    number = parse_number(value)
    if number is None or math.isnan(number):
        return "–"
    if math.isinf(number):
        return "exact" if number > 0 else "−∞"
    return f"{number:.1f}".replace("-", "−")


def show_p(value: Any) -> str:
    """A probability of a test."""
    number = parse_number(value)
    if number is None or not math.isfinite(number):
        return "–"
    return "< 0.001" if number < 0.001 else f"{number:.3f}"


def shorten(text: Any, length: int = 40) -> str:
    """Long names lose their middle."""
    text = str(text)
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"


def _badge(result: dict[str, Any], nets: list[dict[str, Any]]) -> tuple[str, str]:
    """(style, word). An audit alone judges nothing; only `passed: true` reads as success."""
    passed = (result.get("summary") or {}).get("passed")
    if result.get("profile") and not nets:
        return "none", "PROFILE"
    if passed is None:
        return "none", "NO VERDICT"
    if not passed:
        return "fail", "FAILED"
    return ("none", "AUDIT") if result.get("audit") and not nets else ("pass", "PASSED")


def _net(net: dict[str, Any], position: int) -> dict[str, Any]:
    tensors = [_tensor(t) for t in net.get("tensors") or []]
    failing = [t for t in tensors if not t["ok"]]
    return {
        "name": net.get("name") or "",
        "stage": net.get("stage", position),
        "error": net.get("error") or "",
        "tensors": tensors,
        "failing": failing[:LISTED_FAILURES],
        "failed": len(failing),
    }


def _tensor(t: dict[str, Any]) -> dict[str, Any]:
    verdict = str(t.get("verdict") or "UNKNOWN")
    places = [
        {"index": ", ".join(map(str, w.get("index") or [])), "ref": w.get("ref"), "got": w.get("got")}
        for w in (t.get("worst") or [])[:LISTED_PLACES]
    ]
    type_ = f"{t.get('dtype') or ''} {'×'.join(map(str, t.get('shape') or []))}".strip()
    return {**t, "verdict": verdict, "ok": verdict in PASSING, "places": places, "type": type_}


def _chart(layers: list[dict[str, Any]]) -> dict[str, Any]:
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


def _pairs(audit: dict[str, Any]) -> dict[str, int] | None:
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


def _intervals(audit: dict[str, Any]) -> list[dict[str, Any]]:
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


def _evidence(counts: dict[str, Any]) -> list[dict[str, Any]]:
    total = sum(int(c or 0) for c in counts.values())
    labels = {**EVIDENCE, **{label: "" for label in counts if label not in EVIDENCE}}
    return [
        {
            "label": label,
            "style": label if label in EVIDENCE else "other",
            "meaning": meaning,
            "count": int(counts.get(label) or 0),
            "share": round(100 * int(counts.get(label) or 0) / total, 2) if total else 0,
        }
        for label, meaning in labels.items()
    ]


def _facts(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(name, value, is a hash) of the tool, the environment and the model."""
    facts = []
    for part in ("tool", "environment", "model", "target"):
        for key, value in (result.get(part) or {}).items():
            if key in ("name", "evidence") or value is None or value == "":
                continue
            if isinstance(value, dict):
                value = ", ".join(f"{k} {v}" for k, v in value.items())
            name = key if part == "environment" or key.startswith(part) else f"{part} {key}"
            facts.append((name.replace("_", " "), str(value), "sha256" in key))
    return facts
