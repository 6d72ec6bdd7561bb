"""A result as plain text for terminals and CI logs."""

from __future__ import annotations

from bittrue.report.audit_text import render_audit
from bittrue.report.result import Result, TensorResult

HEADER = (
    f"{'#':>4} {'layer':<34} {'op':<16} {'verdict':<14} {'origin':<10} {'bad':>8} {'max':>8} {'cosine':>9} "
    f"{'SQNR dB':>8} evidence"
)


def _number(value: float | None, width: int, digits: int) -> str:
    return " " * width if value is None else f"{value:>{width}.{digits}f}"


def _row(t: TensorResult) -> str:
    name = t.layer or t.name
    if not t.n:
        return f"{t.index:>4} {name[:34]:<34} {t.op:<16} {t.verdict:<14} {t.detail}"
    largest = _number(t.max_abs, 8, 0 if t.dtype.startswith(("int", "uint")) else 5)
    return (
        f"{t.index:>4} {name[:34]:<34} {t.op:<16} {t.verdict:<14} {t.origin:<10} {t.n_bad:>8} {largest} "
        f"{_number(t.cosine, 9, 6)} {_number(t.sqnr_db, 8, 2)} {t.evidence}"
    )


def render_text(result: Result, verbose: bool = False) -> str:
    """The vendor's line per stage, a table of layers (failing ones, or all), the totals and a last line."""
    lines = []
    for stage in result.nets:
        shown = [t for t in stage.tensors if verbose or not t.passed]
        if shown:
            lines += [HEADER, *map(_row, shown)]
        if stage.error:
            lines.append(f"network {stage.name} stage {stage.stage}: {stage.error}")
        if result.kind != "compare":
            word = "success" if stage.passed else "failed"
            lines.append(f"+++ The network[{stage.name}] stage[{stage.stage}] cmp {word} +++")
    lines += render_audit(result.audit or {}, verbose=verbose)
    s = result.summary
    if result.audit and not result.nets:  # an audit alone compares no tensors
        return "\n".join([*lines, *([s.sentence] if s.sentence else [])])
    for m in result.matches:
        lines.append(
            f"device tensor {m['address']} {m['shape']} {m['kind']} is layer {m['layer']}: {m['confidence']}, "
            f"correlation {m['correlation']:.6f}, next best {m['runner_up']:.6f} (written by {m['commands'][0]}"
            + (f" and {len(m['commands']) - 1} more)" if len(m["commands"]) > 1 else ")")
        )
    lines += [f"warning: {w}" for w in result.warnings]
    if s.sentence:
        lines.append(s.sentence)
    passed = sum(1 for n in result.nets if n.passed)
    lines.append(
        f"{result.kind}: {len(result.nets)} stages, {passed} passed, {len(result.nets) - passed} failed, "
        f"{s.compared} tensors, {s.elements} elements, {s.mismatches} mismatches"
    )
    where = f": first divergent {s.first_divergent}" if s.first_divergent else ""
    lines.append(f"bittrue {result.kind} " + ("PASSED" if s.passed else f"FAILED{where}"))
    return "\n".join(lines)
