"""Launchers named as the vendor's tools and Python modules named as the vendor's, so that existing scripts run
unchanged."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from bittrue.containers.bmodel import write_atomic
from bittrue.errors import DataError
from bittrue.vendor.sophgo.compilers.options import COMPILERS
from bittrue.vendor.sophgo.demos import CLASSIFY, DETECT, VIEW
from bittrue.vendor.sophgo.model_tool import NAMES

# launcher -> the verb it calls
DATA_TOOLS = ("convert_imageset", "create_lmdb", "lmdb_info")
UMODEL_TOOLS = ("calibration_use_pb", "ufw", "dump_tensor_data_use_pb")
SHIMS = {n: n for n in ("bmrt_test", *UMODEL_TOOLS, *DATA_TOOLS, CLASSIFY, *DETECT, VIEW, *NAMES, *COMPILERS)}
# Python module of the vendor's -> ours that takes its place: a package with all its modules, or a single module
MODULES = {
    "analysis": "bittrue.vendor.sophgo.analysis",
    "ufw": "bittrue.vendor.sophgo.ufw",
    "ufwio": "bittrue.vendor.sophgo.ufwio",
    "convert_imageset": "bittrue.vendor.sophgo.create_lmdb",
    **{name: f"bittrue.vendor.sophgo.compilers.{name if c.read else 'unread'}" for name, c in COMPILERS.items()},
}
# scripts that the vendor's documents source before anything else
SOURCED = ("envsetup_cmodel.sh", "envsetup_pcie.sh")

LAUNCHER = '#!/bin/sh\nexec {python} -m bittrue.cli.main {verb} "$@"\n'
ENVIRONMENT = """# Source this: the tools, their Python modules, and the Python that runs them.
export PATH={folder}:{python}:"$PATH"
export PYTHONPATH={modules}"${{PYTHONPATH:+:$PYTHONPATH}}"
"""
# Modules of an alias are found in the folder of ours: `python3 -m ufwio.lmdb_info`.
PACKAGE = """import {module} as ours
from {module} import *

__path__ = ours.__path__
"""
SINGLE = """if __name__ == "__main__":
    import runpy

    runpy.run_module("{module}", run_name="__main__")
else:
    from {module} import *
"""


def write_shims(folder: Path) -> list[Path]:
    """Writes an executable launcher for every tool, `python/` with the modules, and the scripts that set the paths.

    Raises DataError if the folder cannot be written.
    """
    files: dict[Path, str] = {}
    for name, verb in SHIMS.items():
        files[folder / name] = LAUNCHER.format(python=shlex.quote(sys.executable), verb=verb)
    for name, module in MODULES.items():
        spec = find_spec(module)
        package = spec is not None and spec.submodule_search_locations is not None
        where = folder / "python" / (f"{name}/__init__.py" if package else f"{name}.py")
        files[where] = (PACKAGE if package else SINGLE).format(module=module)
    paths = {"folder": folder, "python": Path(sys.executable).parent, "modules": folder / "python"}
    environment = ENVIRONMENT.format(**{k: shlex.quote(str(p.absolute())) for k, p in paths.items()})
    files |= dict.fromkeys((folder / name for name in SOURCED), environment)
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text.encode())
            if path.name in SHIMS:
                path.chmod(0o755)
    except OSError as e:
        raise DataError(f"{folder}: cannot be written ({e.strerror})") from e
    return list(files)
