"""The tester's log lines: `[BMRT][function:line] LEVEL:text`, on stdout, flushed line by line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

DEBUG, INFO, WARNING, WRONG, FATAL = -1, 0, 1, 2, 3
LEVELS = {DEBUG: "DEBUG", INFO: "INFO", WARNING: "WARNING", WRONG: "WRONG", FATAL: "FATAL"}
SHOWN_VALUES = 16
FAILED, ABORTED = 255, 134  # exit codes of a failed run, and of errors while options are read


class ExitError(Exception):
    """Ends the run with an exit code, as an uncaught exception ends the tester."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Log:
    """threshold: lines below it are hidden (BMRT_LOG_VERSION; the tester never hides INFO). quiet: no remarks."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        try:
            self.threshold = min(int(os.environ.get("BMRT_LOG_VERSION", "0")), INFO)
        except ValueError:
            self.threshold = INFO

    def line(self, where: str, level: int, text: str) -> None:
        """Prints one line if its level is shown."""
        if level >= self.threshold:
            print(f"[BMRT][{where}] {LEVELS[level]}:{text}", flush=True)

    def info(self, where: str, text: str) -> None:
        self.line(where, INFO, text)

    def fatal(self, where: str, text: str, code: int = FAILED) -> NoReturn:
        """Prints the line and ends the run."""
        self.line(where, FATAL, text)
        raise ExitError(code)

    def remark(self, text: str) -> None:
        """What the tester does not say: where it passes something that is wrong."""
        if not self.quiet:
            self.line("bittrue:0", WARNING, f"bittrue: {text}")

    def trace(self, text: str) -> None:
        """The lines after a failed comparison, on stderr."""
        print(text, file=sys.stderr, flush=True)

    def values(self, head: str, array: np.ndarray[Any, Any]) -> None:
        """`head< v v .. > len=N` for float32 and int32, with at most 16 values; other types print nothing."""
        if array.dtype not in (np.float32, np.int32):
            return
        flat = array.reshape(-1)
        shown = "".join(f"{number(v)} " for v in flat[:SHOWN_VALUES])
        end = f"... > len={flat.size}" if flat.size > SHOWN_VALUES else ">"
        self.info("print_array:756", f"{head}< {shown}{end}")


def number(value: Any) -> str:
    """As a C++ stream prints it: 6 significant digits."""
    return str(int(value)) if isinstance(value, np.integer) else f"{float(value):g}"


def shape_text(shape: Iterable[int]) -> str:
    return "[ " + "".join(f"{d} " for d in shape) + "]"
