"""`bittrue conformance DIR --target T`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from bittrue.conformance.runner import run_conformance
from bittrue.errors import MismatchError


@click.command("conformance")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Target whose arithmetic is checked, for instance bm1684.")
@click.option("--path", help="Instruction set path to force (see `bittrue doctor`).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the counts to this file.")
def conformance_command(directory: Path, target: str, path: str | None, json_file: Path | None) -> None:
    """Run vectors recorded from a device or a vendor simulator: DIRECTORY/<layer>/case*.npz, layers with their tensors
    or raw command streams with memory before and after.

    Zero tolerance: integers by value, floats by bit pattern. Exit code 1 on any mismatch and on an empty folder.

    \b
    Example:
      bittrue conformance vectors/bm1684/layers --target bm1684
      bittrue conformance vectors/bm1684/instr --target bm1684
    """
    results = []
    click.echo(f"{'op':<20} {'cases':>6} {'elements':>10} {'mismatches':>10}")
    for r in run_conformance(directory, target, path=path):
        results.append(r)
        click.echo(
            f"{r.layer:<20} {r.cases:>6} {r.elements:>10} {r.mismatches:>10}"
            + (f"  {r.undefined} bytes undefined" if r.undefined else "")
            + (f"  first: {r.first_bad}" if r.first_bad else "")
        )
    cases = sum(r.cases for r in results)
    elements = sum(r.elements for r in results)
    mismatches = sum(r.mismatches for r in results)
    click.echo(f"total: {len(results)} ops, {cases} cases, {elements} elements, {mismatches} mismatches")
    if json_file:
        json_file.write_text(json.dumps({"target": target, "layers": [asdict(r) for r in results]}, indent=2) + "\n")
    if not elements:
        raise MismatchError(f"{directory}: nothing was compared")
    if mismatches:
        raise MismatchError(f"{mismatches} of {elements} elements differ")
