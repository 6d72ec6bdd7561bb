"""`bittrue compare REF GOT`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.cli.output import Reports, finish, report_options
from bittrue.cli.policy_options import policy_options


@click.command("compare")
@click.argument("ref", type=click.Path(path_type=Path))
@click.argument("got", type=click.Path(path_type=Path))
@policy_options
@report_options
def compare_command(
    ref: Path,
    got: Path,
    policy_file: Path | None,
    accuracy_f: float | None,
    accuracy_i: int,
    reports: Reports,
) -> None:
    """Compare two tensor archives (.npz, .npy) by name, bit by bit.

    A missing tensor, another shape or another type is a failure; nothing is cropped, renamed or skipped.

    \b
    Example:
      bittrue compare reference.npz got.npz --accuracy_i 1
    """
    result = api.compare(ref, got, policy=policy_file, accuracy_f=accuracy_f, accuracy_i=accuracy_i)
    finish(result, reports)
