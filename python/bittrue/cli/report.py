"""`bittrue report RESULT`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue.cli.output import write_reports
from bittrue.report.result import Result
from bittrue.report.text import render_text


@click.command("report")
@click.argument("result_file", type=click.Path(path_type=Path))
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--html", "html_file", type=click.Path(path_type=Path))
@click.option("--junit", "junit_file", type=click.Path(path_type=Path))
@click.option("-v", "--verbose", is_flag=True, help="Show every layer, not only the wrong ones.")
def report_command(
    result_file: Path, json_file: Path | None, html_file: Path | None, junit_file: Path | None, verbose: bool
) -> None:
    """Render a stored result again, without simulating.

    \b
    Example:
      bittrue report result.json --html report.html
    """
    result = Result.load(result_file)
    if not (json_file or html_file or junit_file):
        click.echo(render_text(result, verbose))
    write_reports(result, json_file, html_file, junit_file)
