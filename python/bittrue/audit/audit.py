"""Accuracy audit: float against quantized on labelled data, sample by sample and layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bittrue.audit.statistics import mcnemar, wilson
from bittrue.calibrate.data import Record
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
Run = Callable[[Mapping[str, Array]], dict[str, Array]]
LISTED_FLIPS = 200


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
    """Rates are shares of `labelled`; agreement is the share of samples with the same top-1."""

    samples: int
    labelled: int
    agreement: float
    flips: int
    lost: int
    gained: int
    mcnemar_p: float | None
    float_rates: dict[str, Any]
    quantized_rates: dict[str, Any]
    flipped: list[dict[str, Any]] = field(default_factory=list)
    layers: list[LayerError] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        content = asdict(self)
        return {"float": content.pop("float_rates"), "quantized": content.pop("quantized_rates"), **content}


class _Sums:
    """Running sums of one layer."""

    def __init__(self) -> None:
        self.rr = self.gg = self.rg = self.dd = 0.0

    def add(self, r: Array, g: Array) -> None:
        r, g = r.astype(np.float64).ravel(), g.astype(np.float64).ravel()
        d = g - r
        self.rr += float(r @ r)
        self.gg += float(g @ g)
        self.rg += float(r @ g)
        self.dd += float(d @ d)

    def sqnr_db(self) -> float | None:
        """None without signal."""
        if self.dd == 0:
            return float("inf")
        return float(10 * np.log10(self.rr / self.dd)) if self.rr else None

    def cosine(self) -> float:
        if self.rr == 0 or self.gg == 0:
            return 1.0 if self.rr == self.gg else 0.0
        return float(self.rg / np.sqrt(self.rr * self.gg))


def ranked(scores: Array) -> Array:
    """Classes by falling score, the lower index first on ties."""
    order: Array = np.argsort(-scores.astype(np.float64), kind="stable")
    return order


def run_audit(
    float_run: Run,
    quantized_run: Run,
    records: Iterable[Record],
    float_output: str,
    quantized_output: str,
    layers: Mapping[str, tuple[str, str]],
) -> AuditResult:
    """layers: tensor -> (op, evidence), compared by name between both runs. Raises DataError without samples."""
    sums = {name: _Sums() for name in layers}
    hits: dict[str, list[int]] = {"float": [0, 0], "quantized": [0, 0]}
    samples = labelled = agree = lost = gained = 0
    flipped: list[dict[str, Any]] = []
    for record in records:
        f, q = float_run(record.feeds), quantized_run(record.feeds)
        for name, s in sums.items():
            if name not in f or name not in q or f[name].shape != q[name].shape:
                raise DataError(f"layer '{name}' cannot be compared: it is missing or has another shape in one run")
            s.add(f[name], q[name])
        rows_f, rows_q = f[float_output], q[quantized_output]
        batch = rows_f.shape[0] if rows_f.ndim > 1 else 1
        rows_f, rows_q = rows_f.reshape(batch, -1), rows_q.reshape(batch, -1)
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
            if not same and len(flipped) < LISTED_FLIPS:
                top = rows_f[i][order_f[:2]]
                flipped.append(
                    {
                        "sample": samples,
                        "key": record.key,
                        "label": label,
                        "float": int(order_f[0]),
                        "quantized": int(order_q[0]),
                        "margin": float(top[0] - top[1]) if top.size > 1 else 0.0,
                    }
                )
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
        flipped,
        errors,
    )
