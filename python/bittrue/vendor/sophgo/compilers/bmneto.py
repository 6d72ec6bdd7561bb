"""`bmneto` in Python: `import bmneto` of scripts, and `python3 -m bmneto`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from bittrue.vendor.sophgo.compilers.main import call, run

__all__ = ["compile"]


def compile(
    model: str,
    outdir: str,
    target: str,
    shapes: Sequence[Sequence[int]] | None = None,
    net_name: str | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opt: int = 1,
    dyn: bool = False,
    cmp: bool = True,
    descs: Sequence[Sequence[Any]] | None = None,
    enable_profile: bool = False,
    **options: Any,
) -> int:
    """Compiles an ONNX model. descs: [index, type, low, high] of inputs. Returns 0.

    options: others, by the names of the command line, for instance `dump_ref=True`. Raises exceptions of
    `bittrue.errors`.
    """
    return call("bmneto", **locals())


if __name__ == "__main__":
    sys.exit(run("bmneto", sys.argv[1:]))
