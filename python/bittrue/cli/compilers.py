"""The vendor's compilers under their own names."""

from __future__ import annotations

from functools import partial

from bittrue.cli.vendor import vendor_tool
from bittrue.vendor.sophgo.compilers.main import run
from bittrue.vendor.sophgo.compilers.options import COMPILERS

COMMANDS = {name: vendor_tool(name, c.tool.summary, partial(run, name)) for name, c in COMPILERS.items()}
