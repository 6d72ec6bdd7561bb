"""`bittrue report RESULT`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue.cli.output import Reports, print_result, report_options, write_reports
from bittrue.report.result import Result


@click.command("report")
@click.argument("result_file", type=click.Path(path_type=Path))
@report_options
def report_command(result_file: Path, reports: Reports) -> None:
    """Render a stored result again, without simulating.

    \b
    Example:
      bittrue report result.json --html report.html
    """
    result = Result.load(result_file)
    if not reports.files:
        print_result(result, reports.verbose)
    write_reports(result, reports.files)
