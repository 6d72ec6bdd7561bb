"""The tester's log lines: `[BMRT][function:line] LEVEL:text`, on stdout, flushed line by line."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import numpy as np

from bittrue.vendor.sophgo.bmrt.numbers import atoi, number

DEBUG, INFO, WARNING, WRONG, FATAL = -1, 0, 1, 2, 3
LEVELS = {DEBUG: "DEBUG", INFO: "INFO", WARNING: "WARNING", WRONG: "WRONG", FATAL: "FATAL"}
SHOWN_VALUES = 16
FAILED, ABORTED = 255, 134  # exit codes of a failed run, and of errors while options are read
OWN = "bittrue:0"  # where lines come from that the vendor's tester does not have


class ExitError(Exception):
    """Ends the run with an exit code, as an uncaught exception ends the tester."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Log:
    """Prints lines from the threshold of BMRT_LOG_VERSION on (the tester never hides INFO).

    quiet: no remarks. strict: what would be a remark is an error, and `refused` says that there was one.
    """

    def __init__(self) -> None:
        self.quiet = self.strict = self.refused = False
        self.threshold = min(atoi(os.environ.get("BMRT_LOG_VERSION", "")), INFO)

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
        """The tester passes something that is wrong, or that it did not look at, without a word."""
        if self.strict:
            self.refused = True
            self.line(OWN, WRONG, f"bittrue: {text}")
        elif not self.quiet:
            self.line(OWN, WARNING, f"bittrue: {text}")

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
