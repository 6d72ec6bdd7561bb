"""Calling the command line in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bittrue.cli.main import main

Command = Callable[..., tuple[int, str]]


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *start: str) -> Command:
    """A function that calls `bittrue *start ARGUMENTS` and returns the exit code and all text."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["bittrue", *start, *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out + captured.err

    return run
