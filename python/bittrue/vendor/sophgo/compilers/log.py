"""Lines of a compiler, at the levels of its option -v, and a copy of them in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from bittrue.errors import DataError

ERROR, WARNING, INFO, DEBUG = 1, 2, 3, 4
LETTERS = {ERROR: "E", WARNING: "W", INFO: "I", DEBUG: "D"}
TAILS = {
    "old": ("#" * 38, "# Store bmodel of BMCompiler."),
    "new": ("=" * 60, "*** Store bmodel of BMCompiler..."),
}


class Log:
    """level: the least important level that is shown. folder: where <tool>.log is written."""

    def __init__(self, tool: str, level: int = INFO, folder: str | None = None) -> None:
        self.level = level
        self.file: Path | None = None
        if folder:
            self.file = Path(folder) / f"{tool}.log"
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self.file.write_text("")
            except OSError as e:
                raise DataError(f"--log_dir={folder}: cannot be written ({e.strerror or e})") from e

    def line(self, text: str, level: int = INFO) -> None:
        """`[BMCompiler:I] text`; warnings and errors on stderr."""
        self.plain(f"[BMCompiler:{LETTERS[level]}] {text}", level)

    def plain(self, text: str, level: int = INFO) -> None:
        """A line without a head."""
        if level <= self.level:
            self._print(text, sys.stderr if level <= WARNING else sys.stdout)

    def stored(self, style: str) -> None:
        """The lines at the end, which scripts look for: whatever the level."""
        rule, text = TAILS[style]
        for line in (rule, text, rule):
            self._print(line, sys.stdout)

    def _print(self, text: str, stream: TextIO) -> None:
        print(text, file=stream, flush=True)
        self.keep(text)

    def keep(self, text: str) -> None:
        """A line for the file only."""
        if self.file:
            with self.file.open("a") as f:
                f.write(text + "\n")
