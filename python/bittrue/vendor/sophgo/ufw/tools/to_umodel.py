"""`python3 -m ufw.tools.to_umodel -u X.fp32umodel -T`: a binary umodel as text, beside it as `<X>.txt`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from google.protobuf import text_format

from bittrue.containers.bmodel import write_atomic
from bittrue.errors import UsageError
from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool
from bittrue.vendor.sophgo.umodel.int8 import read_umodel

TOOL = Tool(
    "to_umodel",
    "A binary umodel as text.",
    (
        Option("u", "path", "umodel", required=True),
        Option("T", "bool", "write it as text, <umodel>.txt", False),
    ),
    "python3 -m ufw.tools.to_umodel -u net.fp32umodel -T",
)


def run(arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return TOOL.run(arguments, _run)


def _run(options: Parsed) -> None:
    if not options["T"]:
        raise UsageError(f"{TOOL.name}: -T is the only form to convert to")
    path = Path(options["u"])
    target = path.with_name(f"{path.name}.txt")
    text = text_format.MessageToString(read_umodel(path), use_short_repeated_primitives=True)
    write_atomic(target, text.encode())
    print(target)


if __name__ == "__main__":
    import sys

    from bittrue.cli.main import main

    main([TOOL.name, *sys.argv[1:]])
