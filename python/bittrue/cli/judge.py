"""`bittrue judge RESULT --policy P`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.cli.output import Reports, finish, report_options
from bittrue.cli.policy_options import policy_options
from bittrue.report.result import Result


@click.command("judge")
@click.argument("result_file", type=click.Path(path_type=Path))
@policy_options
@report_options
def judge_command(
    result_file: Path,
    policy_file: Path | None,
    accuracy_f: float | None,
    accuracy_i: int,
    reports: Reports,
) -> None:
    """Judge a stored result again under another policy, without simulating anything.

    A limit that needs more than the stored metrics is not met, and says so.

    \b
    Example:
      bittrue judge result.json --policy signoff.yaml --junit junit.xml
    """
    result = Result.load(result_file)
    result.judge(api.policy_of(policy_file, accuracy_f, accuracy_i))
    finish(result, reports)
