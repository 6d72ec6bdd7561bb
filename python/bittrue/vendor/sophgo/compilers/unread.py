"""The compilers of frameworks that are not read, in Python: `import bmnett` of scripts, and `python3 -m bmnett`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bittrue.vendor.sophgo.compilers.main import refuse_unread, run

__all__ = ["compile"]


def compile(*arguments: Any, **options: Any) -> int:
    """Raises UnsupportedError that names the compilers there are."""
    return refuse_unread("compile: models of this framework")


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[0]).stem, sys.argv[1:]))
