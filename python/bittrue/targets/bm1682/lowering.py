"""BM1682: a float chip. Its order of sums and its functions are taken to be those of BM1684, its successor; no BM1682
was compared, so every rule is assumed (see the profile)."""

from __future__ import annotations

from typing import Any

from bittrue.targets.bm1684.lowering import FLOAT

__all__ = ["FLOAT", "INT8"]

INT8: dict[str, Any] = {}
