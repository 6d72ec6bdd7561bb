"""`bittrue judge RESULT --policy P`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.cli.output import finish
from bittrue.cli.policy_options import policy_options
from bittrue.report.result import Result


@click.command("judge")
@click.argument("result_file", type=click.Path(path_type=Path))
@policy_options
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result file.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write the HTML report.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write JUnit XML.")
@click.option("-v", "--verbose", is_flag=True, help="Show every tensor, not only the wrong ones.")
def judge_command(
    result_file: Path,
    policy_file: Path | None,
    accuracy_f: float | None,
    accuracy_i: int,
    json_file: Path | None,
    html_file: Path | None,
    junit_file: Path | None,
    verbose: bool,
) -> None:
    """Judge a stored result again under another policy, without simulating anything.

    A limit that needs more than the stored metrics is not met, and says so.

    \b
    Example:
      bittrue judge result.json --policy signoff.yaml --junit junit.xml
    """
    result = Result.load(result_file)
    result.judge(api.policy_of(policy_file, accuracy_f, accuracy_i))
    finish(result, json_file, html_file, junit_file, verbose=verbose)
