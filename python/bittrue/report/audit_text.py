"""The audit of a result as plain text: accuracy, targets side by side, overflow, sensitivity, mixed precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from bittrue.report.show import number
from bittrue.report.task_text import LISTED_FLIPS, classify, detect, flip, limits

WORST_LAYERS = 5
Content = dict[str, Any]


def render_audit(audit: Content, *, verbose: bool = False) -> list[str]:
    """Lines for the `audit` part of a result, as stored or fresh; absent parts are left out.

    verbose: every flipped sample, accumulator, threshold and simulated step instead of the first or worst.
    """
    lines: list[str] = []
    for entry in audit.get("targets") or [audit]:
        if entry.get("target"):
            lines.append(f"target {entry['target']} {entry.get('precision', '')}".rstrip())
        for part, render in PARTS.items():
            content = entry if part == "samples" else entry.get(part)
            if content and (part != "samples" or "agreement" in entry):
                lines += render(content, verbose)
    if audit.get("targets"):
        lines += side_by_side(audit["targets"])
    return lines


def _accuracy(audit: Content, verbose: bool) -> list[str]:
    lines = [f"  {audit['samples']} samples, {audit['labelled']} labelled"]
    if audit["labelled"]:
        for name in ("float", "quantized"):
            rates = audit[name]
            low, high = rates["top1_interval"]
            lines.append(f"  {name:<9} top-1 {rates['top1']:.4f} [{low:.4f}, {high:.4f}], top-5 {rates['top5']:.4f}")
        drop = ""
        if "top1_drop" in audit:
            low, high = audit["top1_drop_interval"]
            drop = f"top-1 drop {audit['top1_drop']:.4f} [{low:.4f}, {high:.4f}], "
        lines.append(f"  {drop}lost {audit['lost']}, gained {audit['gained']}, McNemar p = {audit['mcnemar_p']:.3g}")
    lines.append(f"  agreement of top-1: {audit['agreement']:.4f} ({audit['flips']} flipped)")
    lines += _flips(audit, verbose)
    measurable = [e for e in audit.get("layers") or [] if e["sqnr_db"] is not None]
    for layer in sorted(measurable, key=lambda e: float(e["sqnr_db"]))[:WORST_LAYERS]:
        lines.append(
            f"  worst: {layer['name']} ({layer['op']}) SQNR {number(layer['sqnr_db'])} dB, cosine {layer['cosine']:.6f}"
        )
    return lines


def _flips(audit: Content, verbose: bool) -> list[str]:
    flipped = audit.get("flipped") or []
    shown = flipped if verbose else flipped[:LISTED_FLIPS]
    lines = []
    for f in shown:
        first, lowest = f["divergence"], f["lowest"]
        where, word = (first, "separates at") if first else (lowest, "lowest at")
        at = f"{word} {where['layer']} ({number(where['sqnr_db'], '.1f')} dB)" if where else "no layer compared"
        lines.append(f"{flip(f)}, {at}")
    if audit["flips"] > len(shown):
        lines.append(f"  ... {audit['flips'] - len(shown)} more flipped")
    where = Counter(f["divergence"]["layer"] for f in flipped if f.get("divergence"))
    if where:
        layer, count = where.most_common(1)[0]
        limit = audit.get("divergence_db", 0.0)
        lines.append(f"  {count} of {len(flipped)} listed flips first fall below {limit:g} dB at {layer}")
    return lines


def _task(task: Content, verbose: bool) -> list[str]:
    return [f"  {task['sentence']}"]


def _overflow(overflow: Content, verbose: bool) -> list[str]:
    rows = overflow["accumulators"]
    limited = [r for r in rows if r["limit_bits"] is not None]
    lines = [
        f"  overflow audit of {overflow['samples']} samples: {overflow['overflowed']} sums left their accumulator; "
        f"{overflow['layers_that_can_overflow']} of {len(limited)} limited accumulators can overflow",
        f"  {'layer':<32} {'op':<15} {'bits':>4} {'sums seen':>25} {'headroom':>8} {'worst case':>25} {'headroom':>8} "
        f"{'overflows':>9} {'saturated':>9}",
    ]
    for r in rows:
        name = f"{r['layer']} {r['part']}".strip()
        lines.append(
            f"  {name[-32:]:<32} {r['op']:<15} {r['limit_bits'] or '-':>4} "
            f"{_range(r['sum_min'], r['sum_max']):>25} {number(r['headroom_seen'], '.0f'):>8} "
            f"{_range(r['worst_min'], r['worst_max']):>25} {number(r['headroom_worst'], '.0f'):>8} "
            f"{r['overflowed']:>9} {_share(r['saturated']):>9}"
        )
        tight = [c for c in r["tightest"] if c["overflowed"] or (c["headroom_worst"] or 0) < 0]
        for c in tight if verbose else tight[:2]:
            lines.append(
                f"    channel {c['channel']}: seen {_range(c['sum_min'], c['sum_max'])}, worst case "
                f"{_range(c['worst_min'], c['worst_max'])}, headroom {c['headroom_worst']} bits, "
                f"{c['overflowed']} overflows"
            )
    clipping = sorted((t for t in overflow["thresholds"] if t["clipped"]), key=lambda t: -t["share"])
    lines.append(f"  {len(clipping)} of {len(overflow['thresholds'])} thresholds clip")
    for t in clipping if verbose else clipping[:LISTED_FLIPS]:
        lines.append(
            f"  clips: {t['tensor']} threshold {t['threshold']:.6g} ({t['set_by']}): {_share(t['share'])} of "
            f"{t['values']} values, largest {number(t['times_threshold'], '.2f')} times the threshold"
        )
    return lines


def _range(low: Any, high: Any) -> str:
    return "-" if low is None else f"[{low}, {high}]"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.3f} %"


def _score(score: Content) -> str:
    return f"{number(score['sqnr_db']):>8} {score['cosine']:>9.6f} {number(score['top1'], '.4f'):>7}"


def _sensitivity(content: Content, verbose: bool) -> list[str]:
    lines = [
        f"  sensitivity on {content['samples']} samples, {content['labelled']} labelled; "
        f"float top-1 {number(content['float_top1'], '.4f')}",
        f"  {'':<46} {'only this layer quantized':^26} | {'all but this layer':^26} |",
        f"  {'layer':<32} {'op':<13} {'SQNR dB':>8} {'cosine':>9} {'top-1':>7} | {'SQNR dB':>8} {'cosine':>9} "
        f"{'top-1':>7} | {'gain dB':>7} {'MMAC':>9} {'bytes':>9}",
        f"  {'(all quantized)':<32} {'':<13} {'':>26} | {_score(content['quantized'])} |",
    ]
    for r in content["layers"]:
        lines.append(
            f"  {r['name'][-32:]:<32} {r['op']:<13} {_score(r['only'])} | {_score(r['all_but'])} | "
            f"{number(r['gain_db'], '+.2f'):>7} {r['macs'] / 1e6:>9.3f} {r['bytes']:>9}"
        )
    return lines


def _tune(content: Content, verbose: bool) -> list[str]:
    budget = content["budget"]
    unit: Callable[[Any], str] = (lambda v: f"{v:g}") if budget["kind"] == "layers" else (lambda v: f"{100 * v:.3g} %")
    steps = content["steps"]
    lines = [
        f"  {len(steps)} networks simulated on {content['samples']} samples, budget {budget['kind']} "
        f"{unit(budget['limit'])}, metric {content['metric']}, upgrade {content['upgrade']}",
        f"  {'':<2} {'cost':>8} {'layers':>6} {'SQNR dB':>8} {'cosine':>9} {'top-1':>7} added",
    ]
    for position in range(len(steps)) if verbose else content["pareto"]:
        s = steps[position]
        mark = "*" if position in content["pareto"] else ""
        lines.append(
            f"  {mark:<2} {unit(s['cost'][budget['kind']]):>8} {len(s['layers']):>6} {_score(s['score'])} "
            f"{s['added'] or '(all quantized)'}{'' if s['kept'] else ' (not kept)'}"
        )
    lines.append(f"  chosen: {', '.join(content['chosen']) or 'no layer; none makes the network better'}")
    return lines


def _search(content: Content, verbose: bool) -> list[str]:
    lines = [
        f"  {len(content['trials'])} networks simulated on {content['samples']} samples, "
        f"{content['labelled']} labelled; goal: {content['loss']} at most {content['goal']:g}",
        f"  {'':<2} {'SQNR dB':>8} {'cosine':>9} {'top-1':>7} {'loss':>8} {'seconds':>8} settings",
    ]
    for t in content["trials"]:
        lines.append(
            f"  {'*' if t['best'] else '':<2} {_score(t['score'])} {number(t['loss'], '.4f'):>8} "
            f"{number(t['seconds'], '.1f'):>8} {t['words']}"
        )
    lines.append(f"  chosen: {content['chosen']}{'' if content['reached'] else ' (the goal was not reached)'}")
    return lines


PARTS: dict[str, Callable[[Any, bool], list[str]]] = {
    "samples": _accuracy,
    "classify": classify,
    "detect": detect,
    "limits": limits,
    "task": _task,
    "overflow": _overflow,
    "sensitivity": _sensitivity,
    "tune": _tune,
    "search": _search,
}


def comparison_rows(targets: list[Content]) -> list[tuple[str, list[str]]]:
    """(what, one text per target) of a side-by-side table: the figures of the task, then the layers by name."""
    if not targets:
        return []

    def rate(key: str) -> list[str]:
        return [number((t.get("quantized") or {}).get(key), ".4f") for t in targets]

    rows: list[tuple[str, list[str]]] = []
    if any("agreement" in t for t in targets):
        rows += [
            ("float top-1", [number((t.get("float") or {}).get("top1"), ".4f") for t in targets]),
            ("quantized top-1", rate("top1")),
            ("quantized top-5", rate("top5")),
            ("agreement", [number(t.get("agreement"), ".4f") for t in targets]),
            ("flips", [str(t.get("flips", "-")) for t in targets]),
            ("lost / gained", [f"{t.get('lost', '-')} / {t.get('gained', '-')}" for t in targets]),
            ("McNemar p", [number(t.get("mcnemar_p"), ".3g") for t in targets]),
        ]
    for part, describe in (("classify", _classified), ("detect", _detected)):
        found = [describe(t.get(part) or {}) for t in targets]
        rows += [(what, [of.get(what, "-") for of in found]) for what in dict.fromkeys(w for of in found for w in of)]
    if any(t.get("task") for t in targets):
        rows.append(("top-1 limit", [(t.get("task") or {}).get("verdict", "-") for t in targets]))
    if any(t.get("overflow") for t in targets):
        overflows = [t.get("overflow") or {} for t in targets]
        rows.append(("least headroom, bits", [str(o.get("least_headroom", "-")) for o in overflows]))
        rows.append(("overflows", [str(o.get("overflowed", "-")) for o in overflows]))
    by_name = [{e["name"]: e["sqnr_db"] for e in t.get("layers") or []} for t in targets]
    for name in dict.fromkeys(n for layers in by_name for n in layers):
        rows.append((f"SQNR dB {name}", [number(layers.get(name)) for layers in by_name]))
    return rows


def _classified(content: Content) -> dict[str, str]:
    """What of a classification stands in the table of targets."""
    rows = {}
    for r in content.get("rates") or []:
        rows[f"float top-{r['k']}"] = number(r["float"], ".4f")
        rows[f"quantized top-{r['k']}"] = number(r["quantized"], ".4f")
        rows[f"lost / gained top-{r['k']}"] = f"{r['lost']} / {r['gained']}"
    return rows | ({"flips": str(content["flips"])} if content else {})


def _detected(content: Content) -> dict[str, str]:
    """What of detections stands in the table of targets."""
    if not content:
        return {}
    counts = {n: str(content[k]) for n, k in (("float boxes", "float_boxes"), ("quantized boxes", "boxes"))}
    counts |= {k: str(content[k]) for k in ("matched", "missing", "extra")}
    values = {n: number(content[k], ".4f") for n, k in DETECTED.items()}
    precisions = {f"mAP {k}, float is the truth": number(content["against_float"][k], ".4f") for k in ("voc", "coco")}
    return counts | values | precisions


DETECTED = {
    "mean overlap": "mean_overlap",
    "least overlap": "least_overlap",
    "largest score difference": "score_difference",
}


def side_by_side(targets: list[Content]) -> list[str]:
    """A table with one column per target."""
    names = [str(t.get("target", "")) for t in targets]
    rows = comparison_rows(targets)
    width = 2 + max(10, *(len(text) for text in (*names, *(v for _, values in rows for v in values))))
    lines = [f"  {'':<44}" + "".join(f"{n:>{width}}" for n in names)]
    for what, values in rows:
        lines.append(f"  {what[:44]:<44}" + "".join(f"{v:>{width}}" for v in values))
    return lines
