"""A result as plain text for terminals and CI logs, 110 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from bittrue.report.audit_text import render_audit
from bittrue.report.result import Result, TensorResult, failure_sentence
from bittrue.report.show import one_line, parse_number, printable, shorten

WIDTH = 110
LISTED = 4  # names of layers that inherit, and further causes
LONGEST_OP, LONGEST_VERDICT = 14, 10
NUMBERS = (("bad", 9), ("max", 8), ("cosine", 8), ("SQNR dB", 7), ("evidence", 10))
Paint = Callable[[str, str], str]  # (text, colour) -> text


def plain(text: str, colour: str) -> str:
    """No colours."""
    return text


def render_text(result: Result, verbose: bool = False, paint: Paint = plain) -> str:
    """A table of layers (failing ones, or all) and the vendor's line per stage, what is known about the first divergent
    layer, the totals and a last line. paint: colours words, where the output can show that."""
    lines: list[str] = []
    for stage in result.nets:
        shown = [t for t in stage.tensors if verbose or not t.passed]
        if shown:
            lines += _table(shown, paint)
        if stage.error:
            lines += _wrap(f"network {stage.name} stage {stage.stage}: {stage.error}")
        if result.kind != "compare":
            word = "success" if stage.passed else "failed"
            lines.append(f"+++ The network[{one_line(stage.name)}] stage[{stage.stage}] cmp {word} +++")
    lines += render_audit(result.audit or {}, verbose=verbose)
    if result.audit and not result.nets:  # an audit alone compares no tensors
        return "\n".join([*lines, *(_wrap(result.summary.sentence) if result.summary.sentence else [])])
    lines += [line for m in result.matches for line in _wrap(_match(m))]
    for w in result.warnings:
        lines += _marked(_wrap(f"warning: {w}"), "warning", "yellow", paint)
    s = result.summary
    first = result.first_divergent
    if first is not None:
        layers = {t.name: t.layer or t.name for n in result.nets for t in n.tensors}
        lines += _explanation(first, layers, paint)
    elif s.sentence:
        lines += _wrap(s.sentence)
    passed = sum(1 for n in result.nets if n.passed)
    lines.append(
        f"{result.kind}: {len(result.nets)} stages, {passed} passed, {len(result.nets) - passed} failed, "
        f"{s.compared} tensors, {s.elements} elements, {s.mismatches} mismatches"
    )
    if s.passed:
        lines.append(f"bittrue {result.kind} {paint('PASSED', 'green')}")
    else:
        where = f": first divergent {one_line(s.first_divergent)}" if s.first_divergent else ""
        lines.append(f"bittrue {result.kind} {paint('FAILED', 'red')}{where}")
    return "\n".join(lines)


def histogram_line(counts: Mapping[str, int], n: int) -> str:
    """`+1: 371, -1: 12; 200321 of 200704 equal`, the most frequent differences first; empty without differences."""
    differing = sorted(((k, name) for name, k in counts.items() if name != "0"), reverse=True)
    if not differing:
        return ""
    shown = [f"{name if name.startswith(('-', '<', '>')) else '+' + name}: {k}" for k, name in differing[: 2 * LISTED]]
    more = f", {len(differing) - len(shown)} more" if len(differing) > len(shown) else ""
    return f"{', '.join(shown)}{more}; {counts.get('0', 0)} of {n} equal"


def _explanation(t: TensorResult, layers: Mapping[str, str], paint: Paint) -> list[str]:
    lines = _marked(_wrap(failure_sentence(t)), one_line(t.title), "red", paint)
    others = [" ".join(p for p in (c.cls, c.label, c.status) if p) for c in t.causes[1:] if c.status != "UNKNOWN"]
    if others:
        lines += _wrap(f"  also fits: {_list(others)}")
    if t.explains:
        what = "1 later failure inherits" if len(t.explains) == 1 else f"{len(t.explains)} later failures inherit"
        lines += _wrap(f"  {what} from it: {_list([layers.get(n, n) for n in t.explains])}")
    if histogram := histogram_line(t.lsb_hist, t.n):
        lines += _wrap(f"  steps of difference: {histogram}")
    return lines


def _list(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _marked(lines: list[str], start: str, colour: str, paint: Paint) -> list[str]:
    """The lines with their start coloured; after wrapping, which counts and cleans characters."""
    whole = lines[0].startswith(start) if lines else False
    return [paint(start, colour) + lines[0][len(start) :], *lines[1:]] if whole else lines


def _wrap(text: str) -> list[str]:
    """Lines of one paragraph; its indent stays, continued lines have two blanks more."""
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(printable(text), WIDTH, subsequent_indent=indent + "  ", break_on_hyphens=False)


def _table(tensors: list[TensorResult], paint: Paint) -> list[str]:
    """The columns of words are as wide as their words, the name takes what is left."""
    op = min(max(2, *(len(t.op) for t in tensors)), LONGEST_OP)
    verdict = min(max(7, *(len(t.verdict) for t in tensors)), LONGEST_VERDICT)
    origin = max(len(t.origin) for t in tensors)
    origin = max(origin, len("origin")) if origin else 0
    name = WIDTH - 5 - (op + 1) - (verdict + 1) - (origin + 1 if origin else 0) - sum(w + 1 for _, w in NUMBERS)
    words = f"{'#':>4} {'layer':<{name}} {'op':<{op}} {'verdict':<{verdict}}"
    words += f" {'origin':<{origin}}" if origin else ""
    header = " ".join([words, *(f"{title:<{w}}" if title == "evidence" else f"{title:>{w}}" for title, w in NUMBERS)])
    rows = [header.rstrip()]
    for t in tensors:
        style = "green" if t.passed else "red"
        word = shorten(t.verdict, LONGEST_VERDICT) if t.n else one_line(t.verdict)
        row = f"{t.index:>4} {shorten(t.layer or t.name, name):<{name}} {shorten(t.op, op):<{op}} "
        if t.n:
            row += paint(f"{word:<{verdict}}", style) + (f" {t.origin:<{origin}}" if origin else "")
            row += f" {_numbers(t)} {shorten(t.evidence, 10)}"
        else:
            row += f"{paint(word, style)} {shorten(t.detail, max(WIDTH - len(row) - len(word) - 1, LISTED))}"
        rows.append(row.rstrip())
        if t.n and t.detail:
            rows += _wrap(f"     {t.detail}")
    return rows


def _numbers(t: TensorResult) -> str:
    whole = t.dtype.startswith(("int", "uint"))
    widths = dict(NUMBERS)
    largest = _number(t.max_abs, widths["max"], 0 if whole else 5)
    cosine, sqnr = _number(t.cosine, widths["cosine"], 6), _number(t.sqnr_db, widths["SQNR dB"], 2)
    return f"{t.n_bad:>{widths['bad']}} {largest} {cosine} {sqnr}"


def _number(value: Any, width: int, digits: int) -> str:
    """Fixed digits where they fit the column, else a short exponent."""
    number = parse_number(value)
    if number is None:
        return " " * width
    text = f"{number:>{width}.{digits}f}"
    return text if len(text) <= width else f"{number:>{width}.1e}"


def _match(m: Mapping[str, Any]) -> str:
    more = f" and {len(m['commands']) - 1} more" if len(m["commands"]) > 1 else ""
    return (
        f"device tensor {m['address']} {m['shape']} {m['kind']} is layer {m['layer']}: {m['confidence']}, "
        f"correlation {m['correlation']:.6f}, next best {m['runner_up']:.6f} (written by {m['commands'][0]}{more})"
    )
