"""`bittrue run FILE --input X.npz --output Y.npz`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from bittrue import api
from bittrue.cli.arithmetic_options import arithmetic_options
from bittrue.cli.capture import CaptureOptions, capture_options, run_captured
from bittrue.cli.data_options import preprocess_options
from bittrue.cli.output import write_reports
from bittrue.cli.stream_options import stream_options
from bittrue.containers.archive import open_archive
from bittrue.devices.bm1684.profile import profile_session
from bittrue.devices.bm1684.session import Group, InstructionSession
from bittrue.devices.bm1684.stepping import Breakpoint, dump_tensor
from bittrue.devices.bm1684.trace import TraceWriter
from bittrue.errors import UsageError
from bittrue.report.result import new_result
from bittrue.runtime.session import Session

_path = click.Path(path_type=Path)


@click.command("run")
@click.argument("file", type=_path)
@click.option("--input", "input_file", type=_path, help=".npz, key = input name.")
@click.option("--output", "output_file", type=_path, help=".npz to write.")
@click.option("--all-tensors", is_flag=True, help="Write every layer's output, not only the network outputs.")
@click.option("--counters", is_flag=True, help="Print saturation and accumulator range per layer.")
@click.option("--net", help="Network name, for files with several.")
@click.option("--stage", type=int, default=0, show_default=True)
@click.option("--path", help="Instruction set path to force (see `bittrue doctor`).")
@click.option("--threads", type=int, help="Threads; the result does not depend on it.")
@click.option("--break-at", metavar="[GROUP:][ENGINE:]N", help="Command streams: stop after this command and show it.")
@click.option(
    "--dump-tensor",
    "dumps",
    multiple=True,
    metavar="SPEC",
    help="Also write an operand of the --break-at command (opd0, res0, src, ..) or ADDRESS:TYPE:SHAPE.",
)
@arithmetic_options("--target-profile")
@click.option("--profile", is_flag=True, help="Command streams: estimate cycles and bytes moved on the chip.")
@click.option("--timeline", type=_path, help="Write the estimated timeline in Chrome's trace format (.json).")
@click.option("--html", "html_file", type=_path, help="Write the profile as an HTML report.")
@stream_options
@capture_options
@preprocess_options
def run_command(
    file: Path,
    input_file: Path | None,
    output_file: Path | None,
    all_tensors: bool,
    counters: bool,
    net: str | None,
    stage: int,
    path: str | None,
    threads: int | None,
    changes: dict[str, Any],
    **stream: Any,
) -> None:
    """Simulate a compiled model (.bmodel, quantized .onnx or context directory) bit by bit.

    --capture runs a compiled or a float model once for every record of --data and writes the values of tensors as LMDB
    folders, one record an inference: calibration data for what comes next in a cascade.

    Command streams of the vendor's BM1684 compiler run on the instruction-level simulator.

    \b
    Examples:
      bittrue run demo_output/bm1684/compilation.bmodel --input x.npz --output y.npz --all-tensors
      bittrue run first.bmodel --data pictures/ --capture features=second_lmdb --max 2000
      bittrue run net.prototxt --weights net.caffemodel --data lmdb --capture data,prob=data_lmdb,prob_lmdb
      bittrue run vendor.bmodel --input x.npz --output y.npz --profile --timeline timeline.json
      bittrue run vendor.bmodel --input x.npz --output y.npz --break-at bdc:12 --dump-tensor res0
    """
    capture = CaptureOptions.taken_from(stream)
    prefer = stream.pop("prefer")
    if capture.capture:
        if input_file or output_file:
            raise UsageError("--capture reads --data, not --input, and writes no --output")
        if unused := _given(stream) + ["all_tensors"] * all_tensors + ["counters"] * counters:
            raise UsageError(f"--{unused[0].replace('_', '-')} does not go with --capture")
        run_captured(file, capture, net=net, stage=stage, path=path, threads=threads, changes=changes)
        return
    if not (input_file and output_file):
        raise UsageError("--input and --output are needed, or --data with --capture")
    session = api.open_session(
        file,
        net=net,
        stage=stage,
        path_=path,
        threads=threads,
        gdma_first=prefer == "gdma",
        check_uninitialized=stream.pop("check_uninitialized"),
        **changes,
    )
    feeds = open_archive(input_file)
    if isinstance(session, InstructionSession):
        if all_tensors or counters:
            raise UsageError(f"{file}: a command stream has no layers; use --trace")
        _run_stream(session, feeds, output_file, **stream)
        return
    if given := _given(stream):
        raise UsageError(f"{file}: --{given[0].replace('_', '-')} is for command streams, this is a graph")
    _run_graph(session, feeds, output_file, all_tensors, counters)


def _given(stream: Mapping[str, Any]) -> list[str]:
    """Which options of command streams are there."""
    return [k for k in ("trace", "break_at", "dumps", "profile", "timeline", "html_file") if stream[k]]


def _show(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        click.echo(f"{name}: {value.dtype} {list(value.shape)}")


def _run_graph(
    session: Session, feeds: Mapping[str, Any], output_file: Path, all_tensors: bool, counters: bool
) -> None:
    result = session.run(feeds, trace=all_tensors, counters=counters)
    api.write_npz(output_file, {**result.trace, **result.outputs})
    _show(result.outputs)
    if counters:
        click.echo(f"{'layer':<40} {'values':>10} {'sat low':>8} {'sat high':>8} {'overflow':>8} accumulator")
        for name, c in result.counters.items():
            if c["values"]:
                click.echo(
                    f"{name:<40} {c['values']:>10} {c['saturated_low']:>8} {c['saturated_high']:>8} "
                    f"{c['overflowed']:>8} [{c['sum_min']}, {c['sum_max']}]"
                )


def _run_stream(
    session: InstructionSession,
    feeds: Mapping[str, Any],
    output_file: Path,
    *,
    trace: Path | None,
    trace_level: str,
    break_at: str | None,
    dumps: tuple[str, ...],
    profile: bool,
    timeline: Path | None,
    html_file: Path | None,
) -> None:
    breakpoint_ = Breakpoint(break_at) if break_at else None
    hooks = [breakpoint_.hook] if breakpoint_ else []
    started = time.perf_counter()
    if trace:
        with TraceWriter(trace, trace_level) as writer:
            result = session.run(feeds, lambda g, s: any([h(g, s) for h in [writer.record, *hooks]]))
    else:
        result = session.run(feeds, hooks[0] if hooks else None)
    seconds = time.perf_counter() - started
    written: dict[str, Any] = {} if breakpoint_ else dict(result.outputs)
    stopped: tuple[Group, int] | None = None
    if breakpoint_:
        click.echo(breakpoint_.facts())
        stopped = breakpoint_.stopped
    for spec in dumps:
        written[spec] = value = dump_tensor(session, spec, stopped)
        click.echo(f"{spec}: {value.dtype} {list(value.shape)} min {value.min()} max {value.max()} mean {value.mean()}")
        click.echo(f"  first values: {np.array2string(value.ravel()[:16], max_line_width=200)}")
    api.write_npz(output_file, written)
    _show(result.outputs if not breakpoint_ else {})
    for command, what in session.assumptions().items():
        click.echo(f"assumed: {command}: {what}")
    for read in session.uninitialized:
        click.echo(f"uninitialized: {read}")
    if profile or timeline or html_file:
        _profile(session, seconds, profile, timeline, html_file)


def _profile(
    session: InstructionSession, seconds: float, show: bool, timeline: Path | None, html_file: Path | None
) -> None:
    estimate = profile_session(session)
    summary = estimate.summary()
    if show:
        click.echo(
            f"estimate ({summary['evidence']}): {summary['commands']} commands, {summary['macs'] / 1e6:.1f} MMAC, "
            f"{summary['cycles']} cycles = {summary['milliseconds']:.3f} ms at {summary['clock_mhz']} MHz; "
            f"simulated in {seconds * 1e3:.1f} ms"
        )
        for engine, cycles in summary["busy"].items():
            click.echo(f"  {engine} busy {cycles} cycles, {100 * cycles / max(1, summary['cycles']):.0f} %")
        for direction, count in summary["moved"].items():
            click.echo(f"  {direction} {count} bytes")
        click.echo(f"  {'engine':<6} {'operation':<24} {'commands':>8} {'MMAC':>10} {'MB':>8} {'cycles':>10}")
        for row in summary["operations"]:
            click.echo(
                f"  {row['engine']:<6} {row['operation']:<24} {row['commands']:>8} {row['macs'] / 1e6:>10.2f} "
                f"{row['bytes'] / 1e6:>8.2f} {row['cycles']:>10}"
            )
    if timeline:
        api.write_text(timeline, json.dumps(estimate.chrome_trace()) + "\n")
    if html_file:
        result = new_result("profile", name=session.where, path=session.path, threads=session.threads)
        result.target = {"name": "bm1684", "precision": "compiled command streams"}
        result.profile = {
            **summary,
            "simulated_ms": seconds * 1e3,
            "timeline": [[c.engine, c.operation, c.start, c.cycles, c.label] for c in estimate.commands],
        }
        result.summary.sentence = (
            f"{summary['commands']} commands, {summary['macs'] / 1e6:.1f} MMAC, "
            f"{summary['milliseconds']:.3f} ms on the chip ({summary['evidence']} estimate)"
        )
        write_reports(result, {"html": html_file})
