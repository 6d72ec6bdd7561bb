"""What every verb that judges does at its end: print, write the files asked for, set the exit code.

A new output format is one line of FORMATS.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.errors import MismatchError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.csv_table import render_csv
from bittrue.report.html import render_html
from bittrue.report.junit import render_junit
from bittrue.report.result import Result, evidence_counts, new_result
from bittrue.report.show import one_line
from bittrue.report.text import render_text
from bittrue.runtime.session import defaults

# option -> (how a result is written, help)
FORMATS: dict[str, tuple[Callable[[Result], str], str]] = {
    "json": (Result.to_json, "Write the result file."),
    "html": (lambda result: render_html(result.to_dict()), "Write the HTML report."),
    "junit": (lambda result: render_junit(result.to_dict()), "Write JUnit XML."),
    "csv": (lambda result: render_csv(result.to_dict()), "Write a table, one row per tensor."),
}


def audit_result(kind: str, name: str, models: Sequence[QuantizedModel], threads: int | None = None) -> Result:
    """A result without verdict for an audit of quantized models; the evidence of their layers is counted together."""
    path, used = defaults(threads=threads)
    result = new_result(kind, name=name, path=path, threads=used)
    labels = [str(n.attrs.get("evidence", "")) for m in models for n in m.graph.nodes]
    result.target = {
        "name": ", ".join(m.target for m in models),
        "precision": models[0].precision,
        "evidence": evidence_counts(labels),
    }
    return result


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A spreadsheet of rows with the same keys."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    api.write_text(path, text.getvalue())


@dataclass(frozen=True)
class Reports:
    """Which files a verb was asked for, and whether its text shows the tensors that pass."""

    files: Mapping[str, Path]
    verbose: bool = False


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option per format and `--verbose`; the command gets them as `reports`."""

    @wraps(command)
    def collect(*arguments: Any, verbose: bool, **options: Any) -> Any:
        given = {name: options.pop(f"{name}_file") for name in FORMATS}
        files = {name: path for name, path in given.items() if path}
        return command(*arguments, reports=Reports(files, verbose), **options)

    wrapped: Callable[..., Any] = collect
    wrapped = click.option("-v", "--verbose", is_flag=True, help="Show every tensor, not only the wrong ones.")(wrapped)
    for name, (_, text) in reversed(FORMATS.items()):
        wrapped = click.option(f"--{name}", f"{name}_file", type=click.Path(path_type=Path), help=text)(wrapped)
    return wrapped


def write_reports(result: Result, files: Mapping[str, Path | None]) -> None:
    """Writes the formats that have a path; all are rendered before the first is written."""
    texts = [(path, FORMATS[name][0](result)) for name, path in files.items() if path]
    for path, text in texts:
        api.write_text(path, text)


def print_result(result: Result, verbose: bool = False) -> None:
    """The text form, coloured on terminals."""
    click.echo(render_text(result, verbose, paint=lambda text, colour: click.style(text, fg=colour, bold=True)))


def finish(result: Result, reports: Reports) -> None:
    """Prints and writes; raises MismatchError if the result did not pass."""
    print_result(result, reports.verbose)
    write_reports(result, reports.files)
    if not result.summary.passed:
        raise MismatchError(one_line(result.summary.sentence) or "nothing was compared")
