"""The compilers as the Python functions that the vendor documents: each returns 0 or raises an exception of
`bittrue.errors`. `bittrue shims` writes modules of the vendor's names, whose `compile` they are.

Further options go by the names of the command line, for instance `dump_ref=True`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from bittrue.vendor.sophgo.compilers.main import call
from bittrue.vendor.sophgo.compilers.options import COMPILERS

Shapes = Sequence[Sequence[int]]


def bmnetc(
    model: str,
    weight: str,
    outdir: str,
    target: str,
    shapes: Shapes | None = None,
    net_name: str | None = None,
    opt: int = 2,
    dyn: bool = False,
    cmp: bool = True,
    enable_profile: bool = False,
    **options: Any,
) -> int:
    """Compiles a Caffe model: prototxt and caffemodel."""
    return call("bmnetc", **_flat(locals()))


def bmneto(
    model: str,
    outdir: str,
    target: str,
    shapes: Shapes | None = None,
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
    """Compiles an ONNX model. descs: [index, type, low, high] of inputs."""
    return call("bmneto", **_flat(locals()))


def bmnetu(
    model: str,
    weight: str,
    outdir: str,
    target: str | None = None,
    prec: str = "FP32",
    shapes: Shapes | None = None,
    net_name: str | None = None,
    opt: int = 2,
    dyn: bool = False,
    cmp: bool = True,
    max_n: int | None = None,
    **options: Any,
) -> int:
    """Compiles a umodel: prototxt and umodel. max_n: the batch."""
    return call("bmnetu", **_flat(locals()))


def _flat(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in arguments.items() if k != "options"} | arguments["options"]


def _unread(name: str, *arguments: Any, **options: Any) -> int:
    return call(name)


bmnett, bmnetm, bmnetp, bmnetd, bmpaddle = (partial(_unread, n) for n, c in COMPILERS.items() if not c.read)
