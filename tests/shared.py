"""Where the shared specifications and reference data lie, if they are there."""

import os
from pathlib import Path

import pytest


def _find() -> Path | None:
    given = os.environ.get("BITTRUE_SHARED")
    path = Path(given) if given else Path(__file__).resolve().parents[1].parent / "shared"
    return path if path.is_dir() else None


SHARED: Path | None = _find()
needs_shared = pytest.mark.skipif(SHARED is None, reason="shared reference data not found (BITTRUE_SHARED)")
