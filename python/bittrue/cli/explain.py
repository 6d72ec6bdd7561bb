"""`bittrue explain RESULT`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.cli.output import Reports, report_options, write_reports
from bittrue.containers.archive import open_archive
from bittrue.errors import UsageError
from bittrue.report.result import Result, TensorResult, failure_sentence
from bittrue.verify.explain.dump import explain_dump
from bittrue.verify.explain.stored import explain_result

SHOWN = 5  # layers described without --verbose


@click.command("explain")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--layer", help="Layer or tensor; default: every layer where an error was born.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="Of a dump: the quantized model (.onnx, .bmodel, .tflite)."
)
@click.option("--input", "input_file", type=click.Path(path_type=Path), help="Of a dump: network inputs that it lacks.")
@click.option("--timeout", "--explain-timeout", type=float, default=30.0, show_default=True, help="Seconds per layer.")
@click.option(
    "--second",
    type=click.Path(path_type=Path),
    help="Of a result: tensors of another sample, network inputs included; causes must hold there too.",
)
@click.option("--write-profile", type=click.Path(path_type=Path), help="Write the proven rules for `--profile`.")
@report_options
def explain_command(
    source: Path,
    layer: str | None,
    model: Path | None,
    input_file: Path | None,
    timeout: float,
    second: Path | None,
    write_profile: Path | None,
    reports: Reports,
) -> None:
    """Say why a layer differs, and prove it: the layer is simulated on the reference's inputs under every alternative
    rule, and each single change that makes all elements equal is reported.

    SOURCE is a stored result, or with --model a dump of tensors by name (.npz, folder of .npy) that some other tool or
    device computed with that model.

    PROVEN: one change makes it bit-equal. SUPPORTED: a pattern fits a share of the differing elements. UNKNOWN: no
    change tried does; nothing is invented.

    \b
    Examples:
      bittrue verify -d net --layer_ref device.npz --json result.json
      bittrue explain result.json --layer conv3_2 --write-profile firmware3.yaml
      bittrue verify -d net --layer_ref device.npz --profile firmware3.yaml
      bittrue explain default_kernels.npz --model mobilenet.tflite
    """
    if model:
        dump = {**open_archive(source), **(open_archive(input_file) if input_file else {})}
        result, override = explain_dump(api.load(model), dump, seconds=timeout)
        explained = [t for t in result.nets[0].tensors if (layer in (t.name, t.layer) if layer else t.causes)]
        if layer and not explained:
            raise UsageError(f"{source}: no layer '{layer}'")
    else:
        result = Result.load(source)
        explained, override = explain_result(result, layer, timeout, second)
    if not explained:
        click.echo("no layer is wrong on the reference's own inputs: nothing to explain")
    for t in explained if reports.verbose or layer else explained[:SHOWN]:
        click.echo(describe(t))
    if len(explained) > SHOWN and not (reports.verbose or layer):
        proven = sum(1 for t in explained if t.causes and t.causes[0].status == "PROVEN")
        click.echo(f"{len(explained)} layers, {proven} with a proven cause; --verbose shows all")
    if model:
        click.echo(result.summary.sentence)
    if write_profile:
        if not override.rules:
            raise UsageError("--write-profile: no rule of the target was proven, so there is nothing to write")
        override.write(write_profile)
        click.echo(f"{write_profile}: rules for target {override.target}: {len(override.rules)}")
    write_reports(result, reports.files)


def describe(t: TensorResult) -> str:
    """A layer with its causes, as text."""
    lines = [failure_sentence(t)]
    if not t.causes:
        why = "it differs only because its inputs do" if t.origin == "INHERITED" else "it is equal on these inputs"
        lines.append(f"  nothing to explain: {why}")
    for cause in t.causes[1:]:
        lines.append(f"  also {cause.status}: {cause.cls} {cause.label}: {cause.hypothesis}")
    if t.lsb_hist:
        lines.append("  differences: " + ", ".join(f"{k}: {v}" for k, v in t.lsb_hist.items()))
    for w in t.worst[:4]:
        lines.append(f"  at {w['index']}: reference {w['ref']}, simulated {w['got']}")
    if t.explains:
        lines.append(f"  carried on by {len(t.explains)} later layers: {', '.join(t.explains[:6])}")
    return "\n".join(lines)
