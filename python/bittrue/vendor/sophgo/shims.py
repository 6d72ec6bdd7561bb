"""Launchers named as the vendor's tools, so that existing scripts run unchanged."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from bittrue.containers.bmodel import write_atomic
from bittrue.errors import DataError
from bittrue.vendor.sophgo.compilers.options import COMPILERS
from bittrue.vendor.sophgo.demos import CLASSIFY, DETECT
from bittrue.vendor.sophgo.model_tool import NAMES

# launcher -> the verb it calls
SHIMS = {name: name for name in ("bmrt_test", "calibration_use_pb", CLASSIFY, *DETECT, *NAMES, *COMPILERS)}
# scripts that the vendor's documents source before anything else; nothing of them is needed here
SOURCED = ("envsetup_cmodel.sh", "envsetup_pcie.sh")


def write_shims(folder: Path) -> list[Path]:
    """Writes an executable launcher for every tool. Raises DataError if the folder cannot be written."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, verb in SHIMS.items():
            path = folder / name
            write_atomic(
                path, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m bittrue.cli.main {verb} "$@"\n'.encode()
            )
            path.chmod(0o755)
            written.append(path)
        for name in SOURCED:
            write_atomic(folder / name, b"# nothing to set\n")
            written.append(folder / name)
    except OSError as e:
        raise DataError(f"{folder}: cannot be written ({e.strerror})") from e
    return written
