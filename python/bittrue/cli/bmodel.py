"""`bittrue bmodel`: look into .bmodel files and context directories, take them apart and join them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

import bittrue
from bittrue.containers import bmodel_edit as edit
from bittrue.containers.bmodel import Bmodel, check_codes, read_bmodel, write_atomic, write_bmodel
from bittrue.containers.bmodel_check import check_model
from bittrue.containers.bmodel_text import STYLES, info_dict, info_text, net_dynamic, print_text, weight_text
from bittrue.containers.context_combine import combine_dirs
from bittrue.devices.bm1684.commands import ENGINES, command_groups
from bittrue.devices.bm1684.disasm import disassemble
from bittrue.errors import DataError, MismatchError, UnsupportedError

_style = click.option("--style", type=click.Choice(STYLES), default=STYLES[0], help="Whose layout to follow.")
_file = click.argument("file", type=click.Path())


@click.group("bmodel")
def bmodel_group() -> None:
    """Show, check, split, join and edit .bmodel files.

    Embedded code is never loaded. Files are only changed by the verbs that say so, and never half written.

    Example: bittrue bmodel info compilation.bmodel
    """


class _Number(click.ParamType):
    name = "number"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return int(value, 16 if value.lower().startswith("0x") else 10)
        except ValueError:
            self.fail(f"'{value}' is not a decimal or 0x number", param, ctx)


_NUMBER = _Number()


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise DataError(f"mkdir[{path}] failed") from e


def _warn_codes(model: Bmodel) -> None:
    for line in check_codes(model):
        click.echo(f"warning: {line}", err=True)


@bmodel_group.command()
@_file
@click.option("--all", "all_nets", is_flag=True, help="List the parts of cascade nets one by one, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_style
@click.option("--vendor-numbers", is_flag=True, help="Add up memory as the vendor's tool does, errors included.")
def info(file: str, all_nets: bool, as_json: bool, style: str, vendor_numbers: bool) -> None:
    """Overview: nets, stages, inputs, outputs, memory.

    Example: bittrue bmodel info compilation.bmodel --json
    """
    model = read_bmodel(file)
    _warn_codes(model)
    if as_json:
        click.echo(json.dumps(info_dict(model, vendor_numbers=vendor_numbers), indent=2))
    else:
        click.echo(info_text(model, style=style, vendor_numbers=vendor_numbers, all_nets=all_nets), nl=False)


@bmodel_group.command("print")
@_file
@_style
def print_(file: str, style: str) -> None:
    """Every field of the model as text.

    Example: bittrue bmodel print compilation.bmodel | less
    """
    click.echo(print_text(read_bmodel(file, convert=False), style=style), nl=False)


@bmodel_group.command()
@_file
@click.option("--net", "net_name", help="Only this network.")
@click.option("--stage", type=click.IntRange(min=0), help="Only this stage.")
@click.option("--group", type=click.IntRange(min=0), help="Only this command group.")
@click.option("--engine", type=click.Choice(ENGINES), help="Only this engine.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with all fields.")
def disasm(
    file: str, net_name: str | None, stage: int | None, group: int | None, engine: str | None, as_json: bool
) -> None:
    """Command streams of BM1684 as text: one line a command.

    \b
    Example: bittrue bmodel disasm compilation.bmodel --group 0 --engine bdc
    """
    model = read_bmodel(file)
    if model.chip != "BM1684":
        raise UnsupportedError(f"{file}: not implemented: command streams of {model.chip}")
    shown = 0
    for ref in model.stages():
        if net_name not in (None, ref.net.name) or stage not in (None, ref.stage_index):
            continue
        where = f"net[{ref.net.name}] stage[{ref.stage_index}]"
        for commands in command_groups(ref.stage, f"{file}: {where}"):
            if group not in (None, commands.index):
                continue
            shown += 1
            if not as_json:
                click.echo(
                    f"# {where} group {commands.index}: {len(commands.bdc)} BDC, {len(commands.gdma)} GDMA commands"
                )
            for entry in disassemble(commands, (engine,) if engine else ENGINES):
                head = {"net": str(ref.net.name), "stage": ref.stage_index}
                click.echo(json.dumps({**head, **entry}) if as_json else entry["text"])
    if not shown:
        raise DataError(f"{file}: no command group of that kind")


@bmodel_group.command()
@_file
def weight(file: str) -> None:
    """Names and places of the coefficients of each operation.

    Example: bittrue bmodel weight compilation.bmodel
    """
    click.echo(weight_text(read_bmodel(file)), nl=False)


@bmodel_group.command("update-weight")
@click.argument("dst", type=click.Path())
@click.argument("dst_net")
@click.argument("dst_offset", type=_NUMBER)
@click.argument("src", type=click.Path())
@click.argument("src_net")
@click.argument("src_offset", type=_NUMBER)
@click.option("--stage", type=click.IntRange(min=0), default=0, help="Stage of both nets.")
@click.option("--private", is_flag=True, help="Keep the weights of other stages that share them.")
def update_weight(
    dst: str, dst_net: str, dst_offset: int, src: str, src_net: str, src_offset: int, stage: int, private: bool
) -> None:
    """Copy the weights of one operation from SRC into DST (rewrites DST).

    Example: bittrue bmodel update-weight a.bmodel net 0x200 b.bmodel net 0x200
    """
    click.echo(f"read dst model:{dst} ...")
    target = read_bmodel(dst)
    click.echo(f"read src model:{src} ...")
    source = read_bmodel(src)
    click.echo("update weight ...")
    done = edit.update_weight(target, dst_net, dst_offset, source, src_net, src_offset, stage=stage, private=private)
    for other in done.shared:
        effect = "kept its weights" if private else "changed too"
        click.echo(f"warning: '{done.name}' is shared with {other}, which {effect}", err=True)
    write_bmodel(target, dst)
    click.echo("update success")


@bmodel_group.command()
@_file
@click.option("-o", "--outdir", type=click.Path(), default=".", help="Folder for the files.")
def extract(file: str, outdir: str) -> None:
    """Write every stage of every net to a file of its own.

    Example: bittrue bmodel extract combined.bmodel -o parts
    """
    model = read_bmodel(file)
    folder = Path(outdir)
    _make_folder(folder)
    for name, part in edit.extract(model):
        click.echo(f"Generate file [{name}] ......")
        write_bmodel(part, folder / name)
    click.echo("Success: all files have been generated!")


@bmodel_group.command()
@click.argument("files", type=click.Path(), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(), default="bm_combined.bmodel", help="File to write.")
@click.option("--force", is_flag=True, help="Also join models of different chips.")
def combine(files: tuple[str, ...], output: str, force: bool) -> None:
    """Join models into one; nets with the same name become stages of one net.

    Example: bittrue bmodel combine batch1.bmodel batch4.bmodel -o both.bmodel
    """
    result = edit.combine([read_bmodel(f) for f in files], force=force)
    write_bmodel(result.model, output)
    click.echo(f"Success: combined to [{output}].")


@bmodel_group.command("combine-dir")
@click.argument("folders", type=click.Path(), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(), default="bm_combined", help="Folder to write.")
@click.option("--force", is_flag=True, help="Also join models of different chips.")
def combine_dir(folders: tuple[str, ...], output: str, force: bool) -> None:
    """Join context directories: models and reference data.

    Example: bittrue bmodel combine-dir batch1 batch4 -o both
    """
    combine_dirs(folders, output, force=force)
    click.echo(f"Success: combined to [{output}].")


@bmodel_group.command()
@_file
@click.argument("start", type=_NUMBER)
@click.argument("size", type=_NUMBER)
@click.argument("out", type=click.Path())
def dump(file: str, start: int, size: int, out: str) -> None:
    """Copy SIZE bytes at START of the binary section to OUT.

    Example: bittrue bmodel dump compilation.bmodel 0x180 0x400 coeff.bin
    """
    write_atomic(out, edit.dump_slice(read_bmodel(file), start, size))
    click.echo(f"save file[{out}] success")


@bmodel_group.command()
@_file
def chip(file: str) -> None:
    """The chip that the model was compiled for.

    Example: bittrue bmodel chip compilation.bmodel
    """
    click.echo(read_bmodel(file).chip)


@bmodel_group.command()
@_file
def dynamic(file: str) -> None:
    """Print true when the first net is dynamic, else false.

    Example: bittrue bmodel dynamic compilation.bmodel
    """
    nets = read_bmodel(file).nets
    click.echo("true" if nets and net_dynamic(nets[0]) else "false")


@bmodel_group.command()
def version() -> None:
    """Version of this tool.

    Example: bittrue bmodel version
    """
    click.echo(f"bittrue {bittrue.__version__}")


@bmodel_group.command("kernel-dump")
@_file
@click.option("-o", "--output", default=".", help="File ending in .so, or a folder.")
def kernel_dump(file: str, output: str) -> None:
    """Copy the embedded kernel module to a file; it is not loaded.

    Example: bittrue bmodel kernel-dump compilation.bmodel -o kernel.so
    """
    name, data = edit.kernel_dump(read_bmodel(file))
    target = Path(output)
    if target.suffix != ".so":
        _make_folder(target)
        target = target / name
    write_atomic(target, data)
    click.echo(f"Success: dump kernel_module to [{target}].")


@bmodel_group.command("kernel-update")
@_file
@click.argument("kernel", type=click.Path())
def kernel_update(file: str, kernel: str) -> None:
    """Embed a kernel module (rewrites FILE).

    Example: bittrue bmodel kernel-update compilation.bmodel kernel.so
    """
    model = read_bmodel(file)
    name = edit.kernel_update(model, kernel)
    write_bmodel(model, file)
    click.echo(f"Success: update to [{name}].")


@bmodel_group.command("kernel-remove")
@_file
def kernel_remove(file: str) -> None:
    """Remove the embedded kernel module (rewrites FILE).

    Example: bittrue bmodel kernel-remove compilation.bmodel
    """
    model = read_bmodel(file)
    edit.kernel_remove(model)
    write_bmodel(model, file)
    click.echo(f"Success: removed kernel_module from [{os.path.basename(file)}].")


@bmodel_group.command()
@_file
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(file: str, as_json: bool) -> None:
    """Verify hashes, bounds, names, Locations, stages and payloads; exit 1 on findings.

    Example: bittrue bmodel check compilation.bmodel
    """
    findings = check_model(read_bmodel(file))
    if as_json:
        click.echo(json.dumps({"file": file, "findings": findings}, indent=2))
    else:
        for line in findings:
            click.echo(line)
    if findings:
        raise MismatchError(f"{file}: {len(findings)} findings")
    if not as_json:
        click.echo(f"{file}: no findings")
