"""A result as one self-contained HTML page: no network, no scripts, printable.

The page is `templates/page.html.j2`, which includes one file per section; this module makes what they show.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from bittrue.report import show
from bittrue.report.accuracy import SHORT_LIST, intervals, paired_table, sqnr_bars
from bittrue.report.audit_text import comparison_rows
from bittrue.report.curve import sqnr_curve
from bittrue.report.detections import detection_views, picture_copies, precision_rows
from bittrue.report.drilldown import LAYERS, drill_down, worst_first
from bittrue.report.heatmap import heatmaps
from bittrue.report.layer_graph import label, layer_graph
from bittrue.report.provenance import provenance
from bittrue.report.states import STATES, state_of
from bittrue.report.timeline import timeline
from bittrue.verify.verdict import PASSING

EVIDENCE = {
    "measured": "bit-compared with recordings of the vendor's simulator or device",
    "documented": "stated in the vendor's documentation",
    "source": "read in the vendor's published source code",
    "assumed": "our choice; not checked against the vendor",
}
BASES = {
    "exact": "every bit must be equal",
    "audit": "float against quantized: averages must be inside limits",
    "bmrt": "the rule of the vendor's tester, false passes included",
    "none": "measured only, nothing can fail",
}
LISTED_TENSORS = 1500  # rows of the table of all tensors


def render_html(result: dict[str, Any]) -> str:
    """The page for a result in the form of `Result.to_dict()`; absent parts are left out."""
    audit = result.get("audit") or {}
    summary = result.get("summary") or {}
    profile = result.get("profile") or {}
    target = result.get("target") or {}
    layers = audit.get("layers") or []
    copies = picture_copies(audit)
    nets = [_net(net, i) for i, net in enumerate(result.get("nets") or [])]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            r=result,
            model=result.get("model") or {},
            target=target,
            summary=summary,
            badge=_badge(result, nets),
            first=_first_divergent(summary, nets),
            nets=nets,
            states=STATES,
            audit=audit,
            pairs=paired_table(audit),
            intervals=intervals(audit),
            layers=layers,
            copies=copies,
            tasks=[
                {**e, "views": detection_views(e, copies), "precisions": precision_rows(e.get("detect") or {})}
                for e in audit.get("targets") or [audit]
            ],
            target_rows=comparison_rows(audit.get("targets") or []),
            chart=sqnr_bars(layers),
            short_list=SHORT_LIST,
            profile=profile,
            timeline=timeline(profile),
            policy=_policy(result.get("policy") or {}),
            evidence=_evidence(target.get("evidence") or {}),
            facts=provenance({**result, "inputs": []}),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bittrue", "report/templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(
        number=show.show_number,
        count=show.show_number,  # for Jinja it would be the length
        percent=show.show_percent,
        cosine=show.show_cosine,
        db=show.show_db,
        p=show.show_p,
        short=show.shorten,
        box_label=label,
    )
    return environment


def _finalize(value: Any) -> Any:
    """Every value before it is escaped: names may hold characters that no page can."""
    if value is None:
        return ""
    return show.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


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
    """A stage: its tensors, and the views of them; graphics show a tensor once, though it may also be an output."""
    tensors = [_tensor(t) for t in net.get("tensors") or []]
    unique: dict[str, dict[str, Any]] = {}
    for k, t in enumerate(tensors):
        unique.setdefault(str(t.get("name") or t.get("layer") or k), t)
    layers = list(unique.values())
    names = {str(t.get("name")): str(t.get("layer") or t.get("name")) for t in layers}
    worst = worst_first(layers)
    listed = tensors if len(tensors) <= LISTED_TENSORS else sorted(tensors, key=lambda t: t["ok"])[:LISTED_TENSORS]
    return {
        "name": net.get("name") or "",
        "stage": net.get("stage", position),
        "error": net.get("error") or "",
        "tensors": tensors,
        "listed": listed,
        "failed": sum(not t["ok"] for t in tensors),
        "graph": layer_graph(tensors),
        "curve": sqnr_curve(layers),
        "heatmaps": heatmaps(layers),
        "layers": names,
        "drill": [drill_down(t, names) for t in worst[:LAYERS]],
        "drill_more": max(0, len(worst) - LAYERS),
    }


def _tensor(t: dict[str, Any]) -> dict[str, Any]:
    verdict = str(t.get("verdict") or "UNKNOWN")
    type_ = f"{t.get('dtype') or ''} {'×'.join(map(str, t.get('shape') or []))}".strip()
    ok = verdict in PASSING or t.get("required") is False
    return {**t, "verdict": verdict, "ok": ok, "state": state_of(t), "type": type_}


def _first_divergent(summary: dict[str, Any], nets: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The failing tensor that the summary names, as a drill-down."""
    title = summary.get("first_divergent")
    for net in nets:
        for t in net["tensors"]:
            if title and not t["ok"] and title == f"layer {t.get('index')} {t.get('layer') or t.get('name')}":
                return drill_down(t, net["layers"])
    return None


def _policy(policy: dict[str, Any]) -> dict[str, Any]:
    """Name, base and rules in words: whom a rule is for, and what it allows."""
    rules = []
    for rule in policy.get("rules") or []:
        match = rule.get("match") or {}
        allowed = {k: v for k, v in rule.items() if k not in ("match", "reason", "expires")}
        rules.append({**rule, "match": _words(match) or "everything", "allows": _words(allowed) or "nothing"})
    return {**policy, "rules": rules, "meaning": BASES.get(str(policy.get("base")), "")}


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{k} {_words(v)}" if v is not True else str(k) for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
