"""`bittrue audit MODEL --target T --data D`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.audit.audit import AuditResult
from bittrue.calibrate.table import CalibrationTable
from bittrue.cli.data_options import preprocess_from, preprocess_options
from bittrue.cli.model_options import load_model, model_options
from bittrue.cli.output import write_reports
from bittrue.errors import UsageError
from bittrue.quantize.quantizer import quantize
from bittrue.report.result import new_result


def print_audit(target: str, result: AuditResult, worst: int = 5) -> None:
    """The audit as text."""
    click.echo(f"{target}: {result.samples} samples, {result.labelled} labelled")
    if result.labelled:
        for name, rates in (("float", result.float_rates), ("quantized", result.quantized_rates)):
            low, high = rates["top1_interval"]
            click.echo(f"  {name:<9} top-1 {rates['top1']:.4f} [{low:.4f}, {high:.4f}], top-5 {rates['top5']:.4f}")
        click.echo(f"  lost {result.lost}, gained {result.gained}, McNemar p = {result.mcnemar_p:.3g}")
    click.echo(f"  agreement of top-1: {result.agreement:.4f} ({result.flips} flipped)")
    measurable = [e for e in result.layers if e.sqnr_db is not None]
    for layer in sorted(measurable, key=lambda e: e.sqnr_db or 0.0)[:worst]:
        click.echo(f"  worst: {layer.name} ({layer.op}) SQNR {layer.sqnr_db:.2f} dB, cosine {layer.cosine:.6f}")


@click.command("audit")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", "targets", required=True, help="Chip, or several separated by commas.")
@click.option("--precision", default="int8", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), required=True, help=".npz with 'label', pictures, tensors.")
@click.option("--table", type=click.Path(path_type=Path), help="Calibration table.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Data to calibrate on; default: --data.")
@click.option("--method", default="kl", show_default=True)
@click.option("--limit", type=int, help="Use only the first N samples.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result file (one target).")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write the HTML report (one target).")
@model_options
@preprocess_options
def audit_command(
    model: Path,
    targets: str,
    precision: str,
    data: Path,
    table: Path | None,
    calibration: Path | None,
    method: str,
    limit: int | None,
    json_file: Path | None,
    html_file: Path | None,
    **options: Any,
) -> None:
    """Measure what quantization costs: top-1 and top-5 of float and quantized on the same samples, and the layers that
    lose most.

    \b
    Example:
      bittrue audit model.onnx --target bm1684,bm1684x --data labelled.npz
    """
    names = targets.split(",")
    if len(names) > 1 and (json_file or html_file):
        raise UsageError("--json and --html take one target")
    preprocess = preprocess_from(options)
    graph = load_model(model, options)
    thresholds = None
    if precision == "int8":
        thresholds = (
            CalibrationTable.read(table)
            if table
            else api.calibrate(graph, api.records(graph, calibration or data, preprocess, limit), method=method)
        )
    for target in names:
        quantized = quantize(graph, thresholds.tensors if thresholds else None, target, precision=precision)
        result = api.audit(graph, quantized, api.records(graph, data, preprocess, limit))
        print_audit(target, result)
        report = new_result("audit", name=model.stem)
        report.target = {"name": quantized.target, "precision": precision}
        report.audit = result.as_dict()
        report.summary.passed = True
        report.summary.sentence = f"agreement of top-1 {result.agreement:.4f} on {result.samples} samples"
        write_reports(report, json_file, html_file, None)
