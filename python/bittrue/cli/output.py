"""What every verb that judges does at its end: print, write the files asked for, set the exit code."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.errors import MismatchError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.html import render_html
from bittrue.report.junit import render_junit
from bittrue.report.result import Result, evidence_counts, new_result
from bittrue.report.text import render_text
from bittrue.runtime.session import defaults


def write_reports(result: Result, json_file: Path | None, html_file: Path | None, junit_file: Path | None) -> None:
    """Writes the reports that have a path."""
    if json_file:
        result.save(json_file)
    if html_file:
        api.write_text(html_file, render_html(result.to_dict()))
    if junit_file:
        api.write_text(junit_file, render_junit(result.to_dict()))


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


def finish(
    result: Result, json_file: Path | None, html_file: Path | None, junit_file: Path | None, *, verbose: bool = False
) -> None:
    """Prints and writes; raises MismatchError if the result did not pass."""
    click.echo(render_text(result, verbose))
    write_reports(result, json_file, html_file, junit_file)
    if not result.summary.passed:
        raise MismatchError(result.summary.sentence or "nothing was compared")
