"""Options of verbs that run compiled command streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bittrue.devices.bm1684.trace import LEVELS

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--trace", type=click.Path(path_type=Path), help="Command streams: write what every command made (.npz)."
    ),
    click.option(
        "--trace-level",
        type=click.Choice(LEVELS),
        default="commands",
        show_default=True,
        help="Trace tensors written to device memory, or every command.",
    ),
    click.option(
        "--check-uninitialized",
        is_flag=True,
        help="Command streams: report commands that compute with never-written memory.",
    ),
    click.option(
        "--prefer",
        type=click.Choice(["gdma", "bdc"]),
        default="gdma",
        show_default=True,
        help="Command streams: which engine goes on when both could.",
    ),
)


def stream_options(command: Command) -> Command:
    """Adds --trace, --trace-level, --check-uninitialized and --prefer."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
