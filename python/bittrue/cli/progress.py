"""Progress on stderr: a bar on a terminal, a plain line per tenth elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress


@contextmanager
def steps(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Gives a function to call after every step with its name. total: what is expected; it may become more."""
    done = 0
    if sys.stderr.isatty():
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)

            def advance(name: str) -> None:
                bar.update(task, advance=1, description=f"{what} {name}")

            yield advance
        return

    def line(name: str) -> None:
        nonlocal done
        done += 1
        if done % max(1, total // 10) == 0:
            click.echo(f"{what}: {done}" + (f" of {total}" if done <= total else ""), err=True)

    yield line
