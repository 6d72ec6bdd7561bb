"""`bittrue verify --context_dir DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.cli import verify_modes as modes
from bittrue.cli.arithmetic_options import arithmetic_options
from bittrue.cli.dump_options import dump_options
from bittrue.cli.output import Reports, finish, report_options
from bittrue.cli.policy_options import policy_options
from bittrue.cli.stream_options import stream_options
from bittrue.errors import UsageError
from bittrue.verify.dump import DumpOptions
from bittrue.verify.pairs.kinds import kind_of
from bittrue.verify.policy import Policy, vendor_rule
from bittrue.verify.stages import Choice
from bittrue.verify.verify import StreamOptions


@click.command("verify")
@click.option("-d", "--context_dir", "directory", type=click.Path(path_type=Path), required=True)
@policy_options
@dump_options
@click.option("--layers/--no-layers", default=True, help="Compare every layer with layers_ref.npz where it exists.")
@click.option(
    "--layer_ref",
    "--device-dump",
    "layer_reference",
    type=click.Path(path_type=Path),
    help="Layer tensors to compare with instead of layers_ref.npz: .npz, or a folder of .npy, raw and text files.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="Another reference: a context directory (both run), a float model (by averages), or a dump as --layer_ref.",
)
@click.option("--max-memory", type=int, default=2048, show_default=True, help="MiB for layer tensors at once.")
@click.option("--explain/--no-explain", default=True, help="Look for the cause of layers that are wrong.")
@arithmetic_options()
@click.option("--net_idx", type=int, help="Only this network.")
@click.option("--stage_idx", type=int, help="Only this stage.")
@click.option("--reference", type=click.Path(path_type=Path), help="Command streams: compare with an earlier trace.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Command streams: the float or quantized model compiled; names device tensors by its layers.",
)
@click.option("--vendor", is_flag=True, help="Judge by the rule of the vendor's tester, with its false passes for NaN.")
@click.option("--run-only", is_flag=True, help="Run every stage and compare nothing; zero input without data.")
@click.option("--max-errors", type=int, default=0, show_default=True, help="Elements to print of a wrong output.")
@click.option("--tie-report", is_flag=True, help="Say of wrong outputs whether only the order of their rows differs.")
@click.option("--path", help="Instruction set path to force (see `bittrue doctor`).")
@click.option("--threads", type=int, help="Threads; the result does not depend on it.")
@report_options
@stream_options
def verify_command(
    directory: Path,
    policy_file: Path | None,
    accuracy_f: float | None,
    accuracy_i: int,
    map_file: Path | None,
    layout: str | None,
    match_by_values: bool,
    allow_other_inputs: bool,
    against: Path | None,
    layers: bool,
    layer_reference: Path | None,
    max_memory: int,
    explain: bool,
    changes: dict[str, Any],
    net_idx: int | None,
    stage_idx: int | None,
    trace: Path | None,
    trace_level: str,
    reference: Path | None,
    model: Path | None,
    check_uninitialized: bool,
    prefer: str,
    vendor: bool,
    run_only: bool,
    max_errors: int,
    tie_report: bool,
    path: str | None,
    threads: int | None,
    reports: Reports,
) -> None:
    """Simulate a context directory bit by bit and compare it with its reference data, output by output and layer by
    layer. Names the first layer that differs.

    Stages made by `bittrue compile` run as graphs; command streams of the vendor's BM1684 compiler run on the
    instruction-level simulator.

    Refused, although the vendor's tester passes it: NaN in the reference, infinities of different sign, integer
    differences that overflow, surplus bytes of reference data, a stage that does not exist, an empty comparison.

    \b
    Examples:
      bittrue verify --context_dir demo_output/bm1684
      bittrue verify --context_dir out --html report.html --junit junit.xml --csv layers.csv
      bittrue verify --context_dir net --layer_ref device_dump/ --map device.yaml --layout NHWC:C=16
      bittrue verify --context_dir net --against net_of_last_release
      bittrue verify --context_dir vendor_net --trace good.npz
      bittrue verify --context_dir vendor_net --reference good.npz
    """
    policy: Policy | Path | None = policy_file
    if vendor:
        if policy_file:
            raise UsageError("--policy and --vendor: give one of them")
        policy, accuracy_f, accuracy_i = vendor_rule(accuracy_f, accuracy_i), None, 0
    choice = Choice(net_idx, stage_idx, path, threads)
    if run_only:
        modes.refuse_others("--run-only", {*modes.SELECTION, "run_only"})
        modes.run_only(directory, choice)
        return
    dump = DumpOptions(map_file, layout, match_by_values)
    if against is not None:
        if layer_reference is not None:
            raise UsageError("--against and --layer_ref: give one of them")
        if kind_of(against) == "archive":
            layer_reference = against
        elif net_idx is not None or stage_idx is not None or any(changes.values()) or trace or reference or model:
            raise UsageError("--against MODEL runs both models as they are: no other stage, profile, trace or model")
        else:
            compared = api.compare(
                against,
                directory,
                policy=policy,
                accuracy_f=accuracy_f,
                accuracy_i=accuracy_i,
                dump=dump,
                allow_other_inputs=allow_other_inputs,
                path=path,
                threads=threads,
            )
            finish(compared, reports)
            return
    result = api.verify(
        directory,
        policy=policy,
        accuracy_f=accuracy_f,
        accuracy_i=accuracy_i,
        stream=StreamOptions(trace, trace_level, reference, check_uninitialized, prefer == "gdma", model),
        layers=layers,
        layer_reference=layer_reference,
        dump=dump,
        allow_other_inputs=allow_other_inputs,
        net_idx=net_idx,
        stage_idx=stage_idx,
        path=path,
        threads=threads,
        max_memory=max_memory << 20,
        explain=explain,
        **changes,
    )
    if max_errors or tie_report:
        modes.look_again(
            result, directory, choice, changes, api.policy_of(policy, accuracy_f, accuracy_i), max_errors, tie_report
        )
    finish(result, reports)
