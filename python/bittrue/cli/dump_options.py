"""Options of the verbs that read dumps of other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def dump_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--map`, `--layout`, `--match-by-values` and `--allow-other-inputs`."""
    for option in (
        click.option(
            "--allow-other-inputs", is_flag=True, help="Compare although the sides say they had other network inputs."
        ),
        click.option(
            "--match-by-values",
            is_flag=True,
            help="Last resort: tensors of the dump that no name fits are recognised by their values, and reported.",
        ),
        click.option("--layout", help="Memory layout of the dump: NHWC, 4N, NC/8, NHWC:C=16, ... (docs/compare.md)."),
        click.option(
            "--map",
            "map_file",
            type=click.Path(path_type=Path),
            help="Names, layouts and scales of the dump (YAML, see docs/compare.md).",
        ),
    ):
        function = option(function)
    return function
