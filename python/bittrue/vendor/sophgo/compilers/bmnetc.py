"""`bmnetc` in Python: `import bmnetc` of scripts, and `python3 -m bmnetc`."""

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
    target: str,
    shapes: Sequence[Sequence[int]] | None = None,
    net_name: str | None = None,
    opt: int = 2,
    dyn: bool = False,
    cmp: bool = True,
    enable_profile: bool = False,
    **options: Any,
) -> int:
    """Compiles a Caffe model: prototxt and caffemodel. Returns 0.

    options: others, by the names of the command line, for instance `dump_ref=True`. Raises exceptions of
    `bittrue.errors`.
    """
    return call("bmnetc", **locals())


if __name__ == "__main__":
    sys.exit(run("bmnetc", sys.argv[1:]))
