"""The vendor's compilers under their own names."""

from __future__ import annotations

from bittrue.cli.vendor import vendor_tool
from bittrue.vendor.sophgo.compilers.options import COMPILERS

COMMANDS = {name: vendor_tool(name, c.tool.summary, "compilers.main", "run", name) for name, c in COMPILERS.items()}
