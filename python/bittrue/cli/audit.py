"""`bittrue audit [network] MODEL --target T --data D`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.audit.audit import DIVERGENCE_DB
from bittrue.audit.layers import read_layer_list
from bittrue.audit.task import judge_task
from bittrue.calibrate.data import Record
from bittrue.cli.data_options import preprocess_from
from bittrue.cli.float_model import FloatModel, float_model_options, quantized_models, read_float_model
from bittrue.cli.output import audit_result, write_csv, write_reports
from bittrue.containers.context_dir import ContextDir
from bittrue.errors import MismatchError, UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.audit_text import render_audit
from bittrue.report.result import Result

_path = click.Path(path_type=Path)


@click.command("network", short_help="Top-1, flips and layers; --overflow: accumulators. The default.")
@click.argument("model", type=_path)
@click.option("--target", "targets", help="Chip, or several separated by commas. Not for quantized models.")
@click.option("--precision", default="int8", show_default=True)
@click.option("--data", type=_path, help=".npz with 'label', pictures, tensors. Context directories have their own.")
@click.option("--overflow", is_flag=True, help="Also audit accumulators, headroom, saturation and clipped values.")
@click.option("--float-layers", metavar="FILE|A,B", help="Layers that stay in float, as `tune --write-layers` writes.")
@click.option(
    "--divergence-db",
    type=float,
    default=DIVERGENCE_DB,
    show_default=True,
    help="A flipped sample separates from float at its first layer below this SQNR.",
)
@click.option("--top1-drop-max", type=click.FloatRange(0, 1), help="Exit 1 if top-1 drops by more, significantly.")
@click.option("--significance", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="Of that drop.")
@click.option("--samples-csv", "samples_file", type=_path, help="Write every sample's paired result as CSV.")
@click.option("--channels-csv", "channels_file", type=_path, help="Write every channel of --overflow as CSV.")
@click.option("--json", "json_file", type=_path, help="Write the result file; several targets stand side by side.")
@click.option("--html", "html_file", type=_path, help="Write the HTML report.")
@click.option("-v", "--verbose", is_flag=True, help="List every flipped sample, clipping threshold and channel.")
@float_model_options
def audit_command(
    model: Path,
    targets: str | None,
    precision: str,
    data: Path | None,
    overflow: bool,
    float_layers: str | None,
    divergence_db: float,
    top1_drop_max: float | None,
    significance: float,
    samples_file: Path | None,
    channels_file: Path | None,
    changes: dict[str, Any],
    json_file: Path | None,
    html_file: Path | None,
    verbose: bool,
    **source: Any,
) -> None:
    """Measure what quantization costs: top-1 and top-5 of float and quantized on the same samples, the samples that
    flip, and the layers that lose most.

    With --overflow also every accumulator: the sums seen, the worst that the weights allow, the bits of headroom, the
    outputs that saturate and the thresholds that clip. A quantized .onnx, .bmodel or context directory has only this.

    \b
    Examples:
      bittrue audit model.onnx --target bm1684,bm1684x --data labelled.npz --json audit.json
      bittrue audit model.onnx --target bm1684 --data labelled.npz --top1-drop-max 0.01
      bittrue audit demo_output/bm1684 --overflow
    """
    if channels_file and not overflow:
        raise UsageError("--channels-csv needs --overflow")
    options = AuditOptions(overflow, divergence_db, top1_drop_max, significance, changes)
    tables = Tables()
    if _is_quantized(model):
        of_floats = [targets, float_layers, samples_file, *(source[k] for k in ("table", "calibration", "shapes"))]
        if not overflow or any(of_floats) or top1_drop_max is not None:
            raise UsageError(
                f"{model}: a quantized model has an --overflow audit only; the others need its float model"
            )
        result = _quantized(model, data, changes, source, tables)
    else:
        if not targets or not data:
            raise UsageError(f"{model}: a float model needs {'--data' if targets else '--target'}")
        kept = frozenset(read_layer_list(float_layers) if float_layers else ())
        read = read_float_model(model, data, integer=precision == "int8", **source)
        result = _float(model, read, targets.split(","), precision, kept, options, tables)
    click.echo("\n".join(render_audit(result.audit or {}, verbose=verbose)))
    for file, rows in ((samples_file, tables.samples), (channels_file, tables.channels)):
        if file:
            write_csv(file, rows)
    write_reports(result, {"json": json_file, "html": html_file})
    if not result.summary.passed:
        raise MismatchError(result.summary.sentence)


@dataclass(frozen=True)
class AuditOptions:
    """What is audited, the limit of the top-1 drop (None: no limit), and changed rules of the target."""

    overflow: bool
    divergence_db: float
    top1_drop_max: float | None
    significance: float
    changes: dict[str, Any]


@dataclass
class Tables:
    """What is too long for a report: one row per sample, one row per channel, of all targets."""

    samples: list[dict[str, Any]] = field(default_factory=list)
    channels: list[dict[str, Any]] = field(default_factory=list)


def _is_quantized(model: Path) -> bool:
    suffix = model.suffix.lower()
    return model.is_dir() or suffix == ".bmodel" or (suffix == ".onnx" and api.is_quantized_onnx(model))


def _float(
    model: Path,
    read: FloatModel,
    targets: list[str],
    precision: str,
    kept: frozenset[str],
    options: AuditOptions,
    tables: Tables,
) -> Result:
    """One entry per target; a single one stands for itself."""
    models = quantized_models(read, targets, precision, kept, options.changes)
    entries = [_entry(read, m, options, tables) for m in models]
    result = audit_result("audit", model.stem, models)
    result.audit = entries[0] if len(entries) == 1 else {"targets": entries}
    missed = [e for e in entries if e.get("task", {}).get("verdict") == "missed"]
    judged = missed or entries
    result.summary.passed = not missed
    result.summary.sentence = "; ".join(
        f"{e['target']}: {e['task']['sentence']}"
        if "task" in e
        else f"{e['target']}: agreement of top-1 {e['agreement']:.4f} on {e['samples']} samples"
        for e in judged
    )
    return result


def _entry(read: FloatModel, quantized: QuantizedModel, options: AuditOptions, tables: Tables) -> dict[str, Any]:
    accuracy = api.audit(read.graph, quantized, read.records, divergence_db=options.divergence_db)
    of = {"target": quantized.target, "precision": quantized.precision}
    entry = {**of, **accuracy.as_dict()}
    tables.samples += [{**of, **row} for row in accuracy.paired]
    if options.top1_drop_max is not None:
        entry["task"] = judge_task(accuracy, options.top1_drop_max, options.significance).as_dict()
    if options.overflow:
        overflow = api.overflow(quantized, read.records, graph=read.graph)
        entry["overflow"] = overflow.as_dict()
        tables.channels += [{**of, **row} for row in overflow.channel_rows()]
    return entry


def _quantized(
    model: Path, data: Path | None, changes: dict[str, Any], source: dict[str, Any], tables: Tables
) -> Result:
    """The overflow audit of a compiled model, on --data or on the reference inputs of a context directory."""
    quantized = api.load(model)
    api.apply_profile(quantized, **changes)
    if data:
        records: Iterable[Record] = api.records(quantized.graph, data, preprocess_from(source), source["limit"])
    elif model.is_dir():
        records = [Record("reference inputs", ContextDir.open(model).inputs[0])]
    else:
        raise UsageError(f"{model}: --data is needed; only a context directory has inputs of its own")
    overflow = api.overflow(quantized, records)
    of = {"target": quantized.target, "precision": quantized.precision}
    tables.channels += [{**of, **row} for row in overflow.channel_rows()]
    result = audit_result("audit", model.stem, [quantized])
    result.audit = {"overflow": overflow.as_dict()}
    result.summary.passed = True
    result.summary.sentence = (
        f"{overflow.overflowed} sums left their accumulator in {overflow.samples} samples, "
        f"least headroom {result.audit['overflow']['least_headroom']} bits"
    )
    return result
