"""`bittrue doctor`: versions, instruction set paths and the path in use."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from typing import Any

import click

import bittrue._core as _core
from bittrue import __version__

PACKAGES = ("numpy", "onnx", "onnxruntime", "flatbuffers", "pydantic", "click", "Pillow")


def environment() -> dict[str, Any]:
    """Facts about this machine and installation, as stored in results."""
    return {
        "bittrue": __version__,
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 1,
        "paths": {p: bool(_core.path_available(p)) for p in _core.known_paths()},
        "path": os.environ.get("BITTRUE_PATH") or _core.best_path(),
        "ops": len(_core.op_names()),
        "packages": {p: metadata.version(p) for p in PACKAGES},
    }


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(as_json: bool) -> None:
    """Show what the machine offers: instruction set paths, the path in use, versions.

    \b
    Example:
      bittrue doctor
    """
    facts = environment()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"bittrue {facts['bittrue']}, Python {facts['python']}, {facts['os']}, {facts['cpus']} CPUs")
    for path, available in facts["paths"].items():
        click.echo(f"  path {path:<12} {'available' if available else 'not on this machine'}")
    click.echo(f"  path in use  {facts['path']} (BITTRUE_PATH forces another)")
    click.echo(f"  {facts['ops']} ops in the core")
    for name, version in facts["packages"].items():
        click.echo(f"  {name} {version}")
