"""`bittrue bmrt_test ARGS`: the vendor's tester. `bittrue shims DIR`: launchers with the vendor's names."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue.vendor.sophgo.bmrt.tester import main
from bittrue.vendor.sophgo.shims import write_shims


@click.command(
    "bmrt_test",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bmrt_test_command(arguments: tuple[str, ...]) -> int:
    """The vendor's runtime tester, drop-in: same options, lines, compare rule and exit codes (0, 255, 134).

    \b
    Example:
      bittrue bmrt_test --context_dir net
    """
    return main(arguments)


@click.command("shims")
@click.argument("folder", type=click.Path(path_type=Path))
def shims_command(folder: Path) -> None:
    """Write launchers named as the vendor's tools into FOLDER, so that existing scripts run unchanged.

    \b
    Example:
      bittrue shims bin && PATH="$PWD/bin:$PATH" bmrt_test --context_dir net
    """
    for path in write_shims(folder):
        click.echo(str(path))
