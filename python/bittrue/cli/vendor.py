"""The vendor's tools under their own names, and `bittrue shims DIR`: launchers with those names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue.vendor.sophgo.bmrt.tester import main
from bittrue.vendor.sophgo.model_tool import NAMES, run
from bittrue.vendor.sophgo.shims import write_shims

# The tools parse their own arguments.
AS_GIVEN: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "help_option_names": []},
}


@click.command("bmrt_test", **AS_GIVEN)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bmrt_test_command(arguments: tuple[str, ...]) -> int:
    """The vendor's runtime tester, drop-in: same options, lines, compare rule and exit codes (0, 255, 134).

    \b
    Example:
      bittrue bmrt_test --context_dir net
    """
    return main(arguments)


def model_tool_command(name: str) -> click.Command:
    """The container tool under one of its names."""

    @click.command(name, help=f"The vendor's container tool: {name} --info FILE.", **AS_GIVEN)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> int:
        return run(name, arguments)

    return command


bm_model_command, tpu_model_command, model_tool_named_command = map(model_tool_command, NAMES)


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
