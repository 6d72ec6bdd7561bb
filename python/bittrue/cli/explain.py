"""`bittrue explain RESULT`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue.cli.output import Reports, report_options, write_reports
from bittrue.errors import UsageError
from bittrue.report.result import Result, TensorResult, failure_sentence
from bittrue.verify.explain.stored import explain_result


@click.command("explain")
@click.argument("result_file", type=click.Path(path_type=Path))
@click.option("--layer", help="Layer or tensor; default: every layer where an error was born.")
@click.option("--timeout", "--explain-timeout", type=float, default=30.0, show_default=True, help="Seconds per layer.")
@click.option(
    "--second",
    type=click.Path(path_type=Path),
    help="Tensors of another sample, network inputs included (.npz or folder): causes must hold there too.",
)
@click.option("--write-profile", type=click.Path(path_type=Path), help="Write the proven rules for `--profile`.")
@report_options
def explain_command(
    result_file: Path,
    layer: str | None,
    timeout: float,
    second: Path | None,
    write_profile: Path | None,
    reports: Reports,
) -> None:
    """Say why a layer differs, and prove it: the layer is simulated on the reference's inputs under every alternative
    rule, and each single change that makes all elements equal is reported.

    PROVEN: one change makes it bit-equal. SUPPORTED: a pattern fits a share of the differing elements. UNKNOWN: no
    change tried does; nothing is invented.

    \b
    Examples:
      bittrue verify -d net --layer_ref device.npz --json result.json
      bittrue explain result.json
      bittrue explain result.json --layer conv3_2 --write-profile firmware3.yaml
      bittrue verify -d net --layer_ref device.npz --profile firmware3.yaml
    """
    result = Result.load(result_file)
    explained, override = explain_result(result, layer, timeout, second)
    if not explained:
        click.echo("no layer of this result is wrong on the reference's own inputs: nothing to explain")
    for t in explained:
        click.echo(describe(t))
    if write_profile:
        if not override.rules:
            raise UsageError("--write-profile: no rule of the target was proven, so there is nothing to write")
        override.write(write_profile)
        click.echo(f"{write_profile}: {len(override.rules)} rules for target {override.target}")
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
