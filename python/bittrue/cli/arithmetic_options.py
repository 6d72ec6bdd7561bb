"""Options of the verbs that take changed rules of a target."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from bittrue.targets.override import arithmetic_settings


def arithmetic_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the option `names` for a profile file (default `--profile`, `--target-profile`) and `--arith`; the command
    gets both as `changes`, keywords of `bittrue.api.apply_profile`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def collect(*arguments: Any, changed_rules: Path | None, arith: tuple[str, ...], **options: Any) -> Any:
            changes = {"profile": changed_rules, "arith": arithmetic_settings(arith)}
            return command(*arguments, changes=changes, **options)

        wrapped: Callable[..., Any] = click.option(
            "--arith", multiple=True, metavar="RULE=VALUE", help="Switch a rule of the target (`bittrue targets show`)."
        )(collect)
        return click.option(
            *(names or ("--profile", "--target-profile")),
            "changed_rules",
            type=click.Path(path_type=Path),
            help="Changed rules of the target, as `bittrue explain --write-profile` writes them.",
        )(wrapped)

    return decorate
