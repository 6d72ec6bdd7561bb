"""`bittrue tune --auto`: the search for settings, its live table and its files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bittrue import api
from bittrue.audit.layers import layer_list
from bittrue.audit.search import Subject, Trial, run_search
from bittrue.cli.data_options import preprocess_from
from bittrue.cli.model_options import load_model
from bittrue.cli.output import audit_result, write_reports
from bittrue.containers.context_dir import file_sha256
from bittrue.errors import MismatchError, UsageError
from bittrue.report.audit_text import render_audit
from bittrue.report.show import number


@dataclass(frozen=True)
class Goal:
    """drop: the loss at which the search ends. exhaustive: it goes on then."""

    drop: float
    exhaustive: bool


@dataclass(frozen=True)
class AutoFiles:
    """Files to write. layers: those in float of the best settings; table: its thresholds; reports: by format."""

    layers: Path | None
    table: Path | None
    reports: Mapping[str, Path | None]


@contextmanager
def live_table() -> Iterator[Callable[[Trial], None]]:
    """Gives a function that shows a trial: a growing table on a terminal, plain lines elsewhere (stderr)."""
    if not sys.stderr.isatty():
        yield lambda t: click.echo(f"loss {t.loss:.4f}, {t.seconds:.1f} s: {t.settings.words}", err=True)
        return
    table = Table("", "settings", "SQNR dB", "top-1", "loss", "seconds")
    with Live(table, console=Console(stderr=True), transient=True):

        def add(t: Trial) -> None:
            score = (number(t.score.sqnr_db), number(t.score.top1, ".4f"))
            table.add_row("*" if t.best else "", t.settings.words, *score, f"{t.loss:.4f}", f"{t.seconds:.1f}")

        yield add


def auto_tune(
    model: Path,
    target: str,
    data: Path,
    goal: Goal,
    files: AutoFiles,
    changes: dict[str, Any],
    threads: int | None,
    source: dict[str, Any],
) -> None:
    """Searches, prints and writes. Raises MismatchError if no settings reach the goal, after everything is written."""
    if source["table"]:
        raise UsageError("--auto computes the thresholds; --table is not read")
    preprocess = preprocess_from(source)
    graph = load_model(model, source)
    subject = Subject(
        lambda: load_model(model, source),
        list(api.records(graph, source["calibration"] or data, preprocess, source["limit"])),
        list(api.records(graph, data, preprocess, source["limit"])),
        target,
        adjust=lambda m: api.apply_profile(m, **changes),
        threads=threads,
    )
    with live_table() as show:
        search = run_search(subject, goal=goal.drop, exhaustive=goal.exhaustive, progress=show)
    chosen = search.chosen
    assert search.table is not None and search.model is not None
    result = audit_result("tune", model.stem, [search.model], threads)
    result.audit = {"search": search.as_dict()}
    result.summary.passed = search.reached
    result.summary.sentence = f"{search.loss} {chosen.loss:.4f} with {chosen.settings.words}, goal {goal.drop:g}"
    click.echo("\n".join(render_audit(result.audit)))
    if files.layers:
        api.write_text(files.layers, layer_list(chosen.float_layers, f"float layers of {model.name} on {target}"))
    if files.table:
        search.table.model_sha256 = file_sha256(source["weights"] or model)
        search.table.write(files.table)
    write_reports(result, files.reports)
    if not search.reached:
        raise MismatchError(result.summary.sentence)
