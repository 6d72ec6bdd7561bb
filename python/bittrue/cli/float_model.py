"""What the verbs that quantize a float model for an audit have in common: its graph, its thresholds, its data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.calibrate.data import Records
from bittrue.calibrate.table import CalibrationTable
from bittrue.cli.arithmetic_options import arithmetic_options
from bittrue.cli.data_options import preprocess_from, preprocess_options
from bittrue.cli.model_options import load_model, model_options
from bittrue.graph.ir import Graph
from bittrue.quantize.context import QuantizeOptions
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize

_path = click.Path(path_type=Path)


def float_model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the model's options; `read_float_model` takes all but `changes`."""
    function = preprocess_options(function)
    for option in (
        arithmetic_options(),
        model_options,
        click.option("--limit", type=click.IntRange(1), help="Use only the first N records."),
        click.option("--method", default="kl", show_default=True, help="Threshold method when calibrating here."),
        click.option("--calibration", type=_path, help="Data to calibrate on; default: --data."),
        click.option("--table", type=_path, help="Calibration table."),
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class FloatModel:
    """thresholds: None where the precision needs none."""

    graph: Graph
    thresholds: CalibrationTable | None
    records: Records


def read_float_model(
    model: Path,
    data: Path,
    *,
    integer: bool = True,
    table: Path | None,
    calibration: Path | None,
    method: str,
    limit: int | None,
    **source: Any,
) -> FloatModel:
    """Reads the model and its table, or calibrates on the data. integer: whether thresholds are needed.

    Raises DataError for a table of another model.
    """
    options = preprocess_from(source)
    graph = load_model(model, source)
    weights = source["weights"] or model  # the file whose digest tells tables of other models apart
    records = api.records(graph, data, options, limit)
    thresholds = None
    if integer and table:
        thresholds = CalibrationTable.read(table)
        api.check_table(thresholds, weights)
    elif integer:
        calibrating = api.records(graph, calibration or data, options, limit)
        thresholds = api.calibrate(graph, calibrating, method=method, model_path=weights)
    return FloatModel(graph, thresholds, records)


def quantized_models(
    read: FloatModel, targets: Iterable[str], precision: str, float_layers: frozenset[str], changes: dict[str, Any]
) -> list[QuantizedModel]:
    """The model quantized for each target, once each. changes: keywords of `bittrue.api.apply_profile`."""
    thresholds = read.thresholds.tensors if read.thresholds else None
    options = QuantizeOptions(float_layers=float_layers)
    models = [
        quantize(read.graph, thresholds, name, precision=precision, options=options) for name in dict.fromkeys(targets)
    ]
    for model in models:
        api.apply_profile(model, **changes)
    return models
