"""`bittrue compare REF GOT`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.cli.output import finish
from bittrue.cli.policy_options import policy_options


@click.command("compare")
@click.argument("ref", type=click.Path(path_type=Path))
@click.argument("got", type=click.Path(path_type=Path))
@policy_options
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result file.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write the HTML report.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write JUnit XML.")
@click.option("-v", "--verbose", is_flag=True, help="Show every tensor, not only the wrong ones.")
def compare_command(
    ref: Path,
    got: Path,
    policy_file: Path | None,
    accuracy_f: float | None,
    accuracy_i: int,
    json_file: Path | None,
    html_file: Path | None,
    junit_file: Path | None,
    verbose: bool,
) -> None:
    """Compare two tensor archives (.npz, .npy) by name, bit by bit.

    A missing tensor, another shape or another type is a failure; nothing is cropped, renamed or skipped.

    \b
    Example:
      bittrue compare reference.npz got.npz --accuracy_i 1
    """
    result = api.compare(ref, got, policy=policy_file, accuracy_f=accuracy_f, accuracy_i=accuracy_i)
    finish(result, json_file, html_file, junit_file, verbose=verbose)
