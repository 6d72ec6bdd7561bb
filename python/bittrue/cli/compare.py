"""`bittrue compare REF GOT`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.cli.dump_options import dump_options
from bittrue.cli.output import Reports, finish, report_options
from bittrue.cli.policy_options import policy_options
from bittrue.verify.dump import DumpOptions


@click.command("compare")
@click.argument("ref", type=click.Path(path_type=Path))
@click.argument("got", type=click.Path(path_type=Path))
@policy_options
@dump_options
@click.option("--map-ref", type=click.Path(path_type=Path), help="As --map, for REF.")
@click.option("--layout-ref", help="As --layout, for REF.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Archives: the model of the tensors; gives layer names, order, types, and which side is wrong in a layer.",
)
@click.option(
    "--io",
    type=click.Path(path_type=Path),
    help="Raw .dat files: what is in them (io_info.dat, .bmodel or context directory).",
)
@click.option("--input", "inputs", type=click.Path(path_type=Path), help="Models: network inputs to run both on.")
@click.option("--path", help="Instruction set path to force (see `bittrue doctor`).")
@click.option("--threads", type=int, help="Threads; the result does not depend on it.")
@report_options
def compare_command(
    ref: Path,
    got: Path,
    policy_file: Path | None,
    accuracy_f: float | None,
    accuracy_i: int,
    map_file: Path | None,
    layout: str | None,
    match_by_values: bool,
    allow_other_inputs: bool,
    map_ref: Path | None,
    layout_ref: str | None,
    model: Path | None,
    io: Path | None,
    inputs: Path | None,
    path: str | None,
    threads: int | None,
    reports: Reports,
) -> None:
    """Compare two things of a kind, bit by bit: archives or folders of tensors (.npz, .npy, .dat, text dumps), compiled
    models (context directories, .bmodel), stored results; or a float model with a compiled one, by averages.

    Tensors are compared by name. A missing tensor, another shape or another type is a failure; nothing is cropped,
    renamed or skipped unless --map says so.

    \b
    Examples:
      bittrue compare reference.npz got.npz --accuracy_i 1
      bittrue compare layers.npz device_dump/ --map device.yaml --layout NHWC:C=16 --model net/
      bittrue compare net_old/ net_new/
      bittrue compare model.onnx net/ --input sample.npz
      bittrue compare yesterday.json today.json
    """
    result = api.compare(
        ref,
        got,
        policy=policy_file,
        accuracy_f=accuracy_f,
        accuracy_i=accuracy_i,
        dump=DumpOptions(map_file, layout, match_by_values),
        ref_dump=DumpOptions(map_ref, layout_ref),
        model=model,
        io=io,
        inputs=inputs,
        allow_other_inputs=allow_other_inputs,
        path=path,
        threads=threads,
    )
    finish(result, reports)
