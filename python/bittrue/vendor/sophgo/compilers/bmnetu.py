"""`bmnetu` in Python: `import bmnetu` of scripts, and `python3 -m bmnetu`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from bittrue.vendor.sophgo.compilers.main import call, run

__all__ = ["compile"]


def compile(
    model: str,
    weight: str,
    outdir: str,
    target: str | None = None,
    prec: str = "FP32",
    shapes: Sequence[Sequence[int]] | None = None,
    net_name: str | None = None,
    opt: int = 2,
    dyn: bool = False,
    cmp: bool = True,
    max_n: int | None = None,
    **options: Any,
) -> int:
    """Compiles a umodel: prototxt and umodel. max_n: the batch. Returns 0.

    options: others, by the names of the command line, for instance `dump_ref=True`. Raises exceptions of
    `bittrue.errors`.
    """
    return call("bmnetu", **locals())


if __name__ == "__main__":
    sys.exit(run("bmnetu", sys.argv[1:]))
