"""Accuracy audit: float against quantized on labelled data, sample by sample and layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bittrue.audit.errors import ErrorSums, as_rows, paired_row, ranked
from bittrue.audit.statistics import drop_interval, mcnemar, wilson
from bittrue.calibrate.data import Record
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
Run = Callable[[Mapping[str, Array]], dict[str, Array]]
LISTED_FLIPS = 200
DIVERGENCE_DB = 10.0  # SQNR of one sample at one layer, below which float and quantized count as separated


@dataclass
class LayerError:
    """Float against quantized over all samples of one layer."""

    name: str
    op: str
    evidence: str
    sqnr_db: float | None
    cosine: float


@dataclass
class AuditResult:
    """Rates are shares of `labelled`; agreement is the share of samples with the same top-1.

    paired: one entry per sample: its number, key and label, the best class of both runs and the margin between the two
    best scores of both.

    flipped: the first samples whose top-1 changed (`flips` counts all), with the first layer in execution order whose
    SQNR on this sample is below `divergence_db`, and the layer with the lowest SQNR.
    """

    samples: int
    labelled: int
    agreement: float
    flips: int
    lost: int
    gained: int
    mcnemar_p: float | None
    float_rates: dict[str, Any]
    quantized_rates: dict[str, Any]
    divergence_db: float = DIVERGENCE_DB
    flipped: list[dict[str, Any]] = field(default_factory=list)
    layers: list[LayerError] = field(default_factory=list)
    paired: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For a stored result: without `paired`; with the drop of top-1 and its 95 % interval if there are labels."""
        drop: dict[str, Any] = {}
        if self.labelled:
            drop["top1_drop"] = (self.lost - self.gained) / self.labelled
            drop["top1_drop_interval"] = list(drop_interval(self.lost, self.gained, self.labelled))
        content = {k: v for k, v in asdict(self).items() if k != "paired"}
        rates = {"float": content.pop("float_rates"), "quantized": content.pop("quantized_rates")}
        return {**rates, **content, **drop}


def separation(
    float_values: Mapping[str, Array],
    quantized_values: Mapping[str, Array],
    layers: Mapping[str, tuple[str, str]],
    sample: int,
    batch: int,
    limit_db: float,
) -> dict[str, Any]:
    """Where one sample of a batch leaves its float values: `divergence`, the first layer whose SQNR is below the limit
    (None if there is none), and `lowest`, the layer with the least SQNR.

    Tensors without a batch axis are compared as a whole.
    """
    first: dict[str, Any] | None = None
    lowest: dict[str, Any] | None = None
    for name, (op, _) in layers.items():
        sums = ErrorSums()
        r, g = float_values[name], quantized_values[name]
        part = slice(sample, sample + 1) if r.ndim and r.shape[0] == batch else ...
        sums.add(r[part], g[part])
        sqnr = sums.sqnr_db()
        if sqnr is None:
            continue
        here = {"layer": name, "op": op, "sqnr_db": sqnr}
        if lowest is None or sqnr < lowest["sqnr_db"]:
            lowest = here
        if first is None and sqnr < limit_db:
            first = here
    return {"divergence": first, "lowest": lowest}


def run_audit(
    float_run: Run,
    quantized_run: Run,
    records: Iterable[Record],
    float_output: str,
    quantized_output: str,
    layers: Mapping[str, tuple[str, str]],
    divergence_db: float = DIVERGENCE_DB,
) -> AuditResult:
    """layers: tensor -> (op, evidence) in execution order, compared by name between both runs.

    Raises DataError without samples.
    """
    sums = {name: ErrorSums() for name in layers}
    hits: dict[str, list[int]] = {"float": [0, 0], "quantized": [0, 0]}
    samples = labelled = agree = lost = gained = 0
    flipped: list[dict[str, Any]] = []
    paired: list[dict[str, Any]] = []
    for record in records:
        f, q = float_run(record.feeds), quantized_run(record.feeds)
        for name, s in sums.items():
            if name not in f or name not in q or f[name].shape != q[name].shape:
                raise DataError(f"layer '{name}' cannot be compared: it is missing or has another shape in one run")
            s.add(f[name], q[name])
        rows_f, rows_q = as_rows(f[float_output]), as_rows(q[quantized_output])
        batch = len(rows_f)
        for i in range(batch):
            order_f, order_q = ranked(rows_f[i]), ranked(rows_q[i])
            same = bool(order_f[0] == order_q[0])
            agree += same
            label = None if record.labels is None else int(record.labels[i])
            if label is not None:
                labelled += 1
                right = {"float": order_f, "quantized": order_q}
                for key, order in right.items():
                    hits[key][0] += int(order[0] == label)
                    hits[key][1] += int(label in order[:5])
                lost += int(order_f[0] == label and not same)
                gained += int(order_q[0] == label and not same)
            row = paired_row(samples, record.key, label, rows_f[i], rows_q[i])
            paired.append(row)
            if not same and len(flipped) < LISTED_FLIPS:
                flipped.append({**row, **separation(f, q, layers, i, batch, divergence_db)})
            samples += 1
    if not samples:
        raise DataError("no samples to audit")

    def rates(key: str) -> dict[str, Any]:
        if not labelled:
            return {}
        top1, top5 = hits[key]
        return {"top1": top1 / labelled, "top5": top5 / labelled, "top1_interval": list(wilson(top1, labelled))}

    errors = [LayerError(n, *layers[n], s.sqnr_db(), s.cosine()) for n, s in sums.items()]
    return AuditResult(
        samples,
        labelled,
        agree / samples,
        samples - agree,
        lost,
        gained,
        mcnemar(lost, gained) if labelled else None,
        rates("float"),
        rates("quantized"),
        divergence_db,
        flipped,
        errors,
        paired,
    )
