"""Options of the verbs that judge: a policy file, or the two tolerances of the vendor's tester."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def policy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--policy`, `--accuracy_f` and `--accuracy_i`."""
    for option in (
        click.option("--accuracy_i", type=int, default=0, show_default=True, help="Integer tolerance."),
        click.option("--accuracy_f", type=float, help="Float tolerance of the vendor's rule; default: bit-exact."),
        click.option(
            "--policy",
            "policy_file",
            type=click.Path(path_type=Path),
            help="What may differ, and why (YAML, see docs/verification.md); default: nothing.",
        ),
    ):
        function = option(function)
    return function
