"""Where the recorded data beside the repository is, if it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import bittrue._core as _core


def _find() -> Path | None:
    root = Path(__file__).resolve().parents[1]
    candidates = [root.parent / "shared"]
    if override := os.environ.get("BITTRUE_SHARED"):
        candidates.insert(0, Path(override))
    return next((c for c in candidates if (c / "oracle").is_dir()), None)


# Instruction set paths of this machine.
PATHS = [p for p in _core.known_paths() if _core.path_available(p)]
SHARED: Path | None = _find()
needs_shared = pytest.mark.skipif(SHARED is None, reason="recorded oracle data (../shared/oracle) is not present")
