"""The vendor's container tool (`bm_model.bin`, later `tpu_model` and `model_tool`): `--verb` spelling, exit codes 0 and
255, errors on stdout. The work is done by the verbs of `bittrue bmodel`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bittrue.cli.bmodel import bmodel_group
from bittrue.containers.bmodel import read_bmodel
from bittrue.errors import BittrueError

NAMES = ("bm_model.bin", "tpu_model", "model_tool")
FAILED = 255
# vendor's verb -> (ours, operands in words)
VERBS = {
    "--info": ("info", "FILE [--all]"),
    "--print": ("print", "FILE"),
    "--weight": ("weight", "FILE"),
    "--update_weight": ("update-weight", "DST NET OFFSET SRC NET OFFSET"),
    "--extract": ("extract", "FILE"),
    "--combine": ("combine", "FILE.. [-o FILE]"),
    "--combine_dir": ("combine-dir", "DIR.. [-o DIR]"),
    "--dump": ("dump", "FILE START SIZE OUT"),
    "--chip": ("chip", "FILE"),
    "--is_dynamic": ("dynamic", "FILE"),
    "--dynamic": ("dynamic", "FILE"),
    "--version": ("version", ""),
    "--kernel_dump": ("kernel-dump", "FILE [-o OUT]"),
    "--kernel_update": ("kernel-update", "FILE KERNEL"),
    "--kernel_remove": ("kernel-remove", "FILE"),
}


def usage(name: str) -> str:
    """What the tool prints without a verb."""
    lines = [f"Usage: {name} VERB OPERANDS", ""]
    lines += [f"  {verb} {operands}".rstrip() for verb, (_, operands) in VERBS.items()]
    return "\n".join([*lines, "", f"Example: {name} --info compilation.bmodel"])


def run(name: str, arguments: Sequence[str]) -> int:
    """Runs the tool under one of its names; returns its exit code."""
    if not arguments or arguments[0] not in VERBS:
        click.echo(usage(name))
        return FAILED
    verb, rest = arguments[0], list(arguments[1:])
    try:
        if verb == "--chip" and len(rest) == 1:
            click.echo(read_bmodel(rest[0]).chip, nl=False)  # the vendor prints no line end here
            return 0
        code = bmodel_group.main([VERBS[verb][0], *rest], prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as e:
        code = e.exit_code
    except (BittrueError, click.ClickException) as e:
        message = e.format_message() if isinstance(e, click.ClickException) else str(e)
        click.echo(f"[{verb.removeprefix('--')}:0] Error : {message}")
        return FAILED
    return FAILED if code else 0
