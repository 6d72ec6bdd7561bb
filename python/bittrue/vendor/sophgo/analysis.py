"""`view_demo` and the vendor's Python module `analysis`: every blob of a network in float and INT8, as a page.

The vendor's figures: MAPE, the mean of |float - INT8| / |float| in percent, over the values that are not zero in float
[assumed: what its tool does with zeros is not public], and COS = 0.5 + 0.5 cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.audit.errors import ErrorSums
from bittrue.containers.bmodel import write_atomic
from bittrue.errors import DataError
from bittrue.importers.caffe.net import DROPPED_TYPES
from bittrue.report.html import render_html
from bittrue.report.result import Result, new_result
from bittrue.runtime.session import defaults
from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool
from bittrue.vendor.sophgo.calibration.data import DataSource
from bittrue.vendor.sophgo.demos import VIEW
from bittrue.vendor.sophgo.ufw.net import FP32, INT8, BlobNet

Array = np.ndarray[Any, Any]
TOOL = Tool(
    VIEW,
    "Every blob of a network in float and INT8 over the data of its test prototxt, as an HTML page.",
    (
        Option("fm", "path", "Test prototxt of the float network", required=True),
        Option("fw", "path", "Its caffemodel or umodel", required=True),
        Option("im", "path", "Prototxt of the INT8 network", required=True),
        Option("iw", "path", "Its INT8 umodel", required=True),
        Option("show_difference", "bool", "Print the table as well", True),
        Option("max_sample", "int", "Largest number of records", 999),
        Option("html", "path", "The page", "calibration_visual.html"),
    ),
    f"{VIEW} -fm net_test_fp32_unique_top.prototxt -fw net.caffemodel"
    " -im net_test_int8_unique_top.prototxt -iw net.int8umodel --html view.html",
)


def run(arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return TOOL.run(arguments, _view)


class calibration_visual:  # noqa: N801, the vendor's name
    """The vendor's class: `calibration_visual(['-fm', F, '-fw', F, '-im', I, '-iw', I]).run()`."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Raises UsageError for arguments that are not the tool's."""
        self._options = TOOL.parse(arguments)

    def run(self) -> None:
        """Compares the networks and writes the page. Raises DataError for files that do not fit together."""
        _view(self._options)

    def show_widgets(self) -> None:
        """Says where the page is; the vendor's tool shows a notebook's widgets here."""
        print(self._options["html"])


@dataclass
class Difference:
    """Float against INT8 of one layer's result over all records. fused: the INT8 network has no such blob."""

    layer: str
    type: str
    fused: bool = False
    sums: ErrorSums = field(default_factory=ErrorSums)
    relative: float = 0.0
    counted: int = 0

    def add(self, truth: Array, got: Array) -> None:
        self.sums.add(truth, got)
        r, g = truth.astype(np.float64).ravel(), got.astype(np.float64).ravel()
        there = r != 0
        self.relative += float((np.abs(r - g)[there] / np.abs(r[there])).sum())
        self.counted += int(there.sum())

    @property
    def mape(self) -> float | None:
        """Percent; None where every value is zero in float."""
        return 100 * self.relative / self.counted if self.counted else None

    @property
    def cos(self) -> float:
        return 0.5 + 0.5 * self.sums.cosine()

    def as_row(self) -> dict[str, Any]:
        """A layer of an audit, with the vendor's two figures."""
        if self.fused:
            return {"name": self.layer, "op": f"{self.type}, fused", "sqnr_db": None, "cosine": None, "mape": None}
        values = {"sqnr_db": self.sums.sqnr_db(), "cosine": self.sums.cosine(), "mape": self.mape, "cos": self.cos}
        return {"name": self.layer, "op": self.type, **values}


def differences(truth: BlobNet, got: BlobNet, limit: int) -> tuple[int, list[Difference]]:
    """(records, one row per layer) over at most `limit` records of the data layer of `truth`. Raises DataError without
    records, and for networks that share no blob."""
    source = DataSource.of(truth.network)
    graph = truth.network.graph({source.blob: source.shape})
    layers = [
        n for n in truth.network.proto.layer if n.top and n.type not in DROPPED_TYPES and source.blob not in n.top
    ]
    rows = {layer.top[0]: Difference(layer.name, layer.type) for layer in layers}
    count = 0
    for record in source.records(graph, truth.network, limit):
        r, g = truth.run(record.feeds), got.run(record.feeds)
        for blob, row in rows.items():
            row.fused = blob not in r or blob not in g
            if not row.fused:
                row.add(r[blob], g[blob])
        count += 1
    if not count:
        raise DataError(f"{source.path}: holds no records")
    if all(row.fused for row in rows.values()):
        raise DataError(f"{truth.network.prototxt} and {got.network.prototxt}: no blob is in both networks")
    return count, list(rows.values())


def _view(options: Parsed) -> None:
    truth = BlobNet(Path(options["fm"]), Path(options["fw"]), FP32)
    got = BlobNet(Path(options["im"]), Path(options["iw"]), INT8)
    records, rows = differences(truth, got, options["max_sample"])
    if options["show_difference"]:
        print("\n".join(table(rows)))
    page = Path(options["html"])
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(page, render_html(_result(truth.network.proto.name, records, rows).to_dict()).encode())


def table(rows: Sequence[Difference]) -> list[str]:
    """A line for each layer."""
    lines = [f"{'layer':<32} {'type':<16} {'MAPE %':>10} {'COS':>9}"]
    for row in rows:
        mape = "-" if row.mape is None else f"{row.mape:.3f}"
        figures = "fused" if row.fused else f"{mape:>10} {row.cos:>9.6f}"
        lines.append(f"{row.layer:<32} {row.type:<16} {figures}")
    return lines


def _result(name: str, records: int, rows: Sequence[Difference]) -> Result:
    path, threads = defaults()
    result = new_result("view", name=name, path=path, threads=threads)
    result.audit = {"samples": records, "layers": [row.as_row() for row in rows]}
    worst = min((row for row in rows if not row.fused), key=lambda row: row.cos)
    result.summary.passed = True
    result.summary.sentence = f"lowest COS {worst.cos:.6f} at {worst.layer}, {records} records"
    return result
