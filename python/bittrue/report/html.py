"""A result as one self-contained HTML page: no network, no scripts, printable."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader

EVIDENCE = {
    "measured": "bit-compared with recordings of the vendor's simulator or device",
    "documented": "stated in the vendor's documentation",
    "source": "read in the vendor's published source code",
    "assumed": "our choice; not checked against the vendor",
}
LIMIT_DB = 80.0  # bars end here; exact layers fill the scale


def _number(value: Any) -> float | None:
    if value in ("Infinity", "-Infinity", "NaN"):
        return float(value.replace("Infinity", "inf"))
    return None if value is None else float(value)


def _show(value: Any, digits: int = 4) -> str:
    number = _number(value)
    if number is None:
        return "–"
    if number in (float("inf"), float("-inf")):
        return "∞" if number > 0 else "−∞"
    return f"{number:.{digits}f}"


def _bars(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    bars = []
    for i, layer in enumerate(layers):
        db = _number(layer.get("sqnr_db"))
        shown = LIMIT_DB if db is None else min(max(db, 0.0), LIMIT_DB)
        bars.append({"name": layer["name"], "text": _show(layer.get("sqnr_db"), 1), "share": shown / LIMIT_DB, "i": i})
    return bars


def render_html(result: dict[str, Any]) -> str:
    """The page for a result in the form of `Result.to_dict()`; absent parts are left out."""
    environment = Environment(loader=PackageLoader("bittrue", "report/templates"), autoescape=True)
    environment.filters["show"] = _show
    audit = result.get("audit") or {}
    nets = result.get("nets") or []
    return environment.get_template("report.html.j2").render(
        r=result,
        summary=result.get("summary") or {},
        audit=audit,
        bars=_bars(audit.get("layers") or []),
        nets=nets,
        evidence=EVIDENCE,
    )
