"""A float and a quantized classifier on the same samples: top-k of both, and the samples that change their class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bittrue.audit.audit import LISTED_FLIPS
from bittrue.audit.errors import as_rows, paired_row
from bittrue.audit.networks import Network
from bittrue.audit.statistics import drop_interval, mcnemar, wilson
from bittrue.audit.topk import better_scores, rivals
from bittrue.calibrate.data import Record
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]


SIDES = ("float", "quantized")


@dataclass
class Rate:
    """Top-k of both networks on the labelled samples, counted by side, "float" and "quantized".

    right: samples whose label is in the top k; ties: those of them that are there only because other classes have the
    same score. lost, gained: in the top k of the float network only, of the quantized one only.
    """

    k: int
    labelled: int = 0
    right: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    ties: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    lost: int = 0
    gained: int = 0

    def share(self, side: str) -> float:
        """The accuracy of a side."""
        return self.right[side] / self.labelled

    @property
    def drop(self) -> float:
        # Of counts, so that equal rates give exactly zero.
        return (self.right["float"] - self.right["quantized"]) / self.labelled

    def add(self, scores: Mapping[str, Array], labels: Array) -> None:
        """Counts samples: scores (N, C) by side, labels (N,)."""
        inside = {}
        for side in SIDES:
            better = better_scores(scores[side], labels)
            inside[side] = better < self.k
            tied = inside[side] & (better + rivals(scores[side], labels) >= self.k)
            self.right[side] += int(inside[side].sum())
            self.ties[side] += int(tied.sum())
        self.labelled += len(labels)
        self.lost += int((inside["float"] & ~inside["quantized"]).sum())
        self.gained += int((inside["quantized"] & ~inside["float"]).sum())

    def as_dict(self) -> dict[str, Any]:
        """Counts, rates, their 95 % intervals and the exact McNemar test."""
        return {
            **asdict(self),
            **{side: self.share(side) for side in SIDES},
            "drop": self.drop,
            "intervals": {side: list(wilson(self.right[side], self.labelled)) for side in SIDES},
            "drop_interval": list(drop_interval(self.lost, self.gained, self.labelled)),
            "mcnemar_p": mcnemar(self.lost, self.gained),
        }


@dataclass
class Classification:
    """flips: samples whose best class changed (the lower number of equal scores is the best); flipped: the first of
    them. paired: one row per sample, as `paired_row` makes it."""

    samples: int
    labelled: int
    flips: int
    rates: list[Rate]
    flipped: list[dict[str, Any]] = field(default_factory=list)
    paired: list[dict[str, Any]] = field(default_factory=list)

    def rate(self, k: int) -> Rate:
        """Raises DataError without labels, or if k was not counted."""
        if not self.labelled:
            raise DataError("top-k needs labelled data: an array 'label', labels of an LMDB or a list, or --labels")
        found = next((r for r in self.rates if r.k == k), None)
        if found is None:
            raise DataError(f"top-{k} was not counted; --topk {','.join(str(r.k) for r in self.rates)}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """For a stored result: without the rows of all samples."""
        return {
            "samples": self.samples,
            "labelled": self.labelled,
            "flips": self.flips,
            "agreement": 1 - self.flips / self.samples,
            "rates": [r.as_dict() for r in self.rates if r.labelled],
            "flipped": self.flipped,
        }


def classify(
    float_network: Network,
    quantized_network: Network,
    records: Iterable[Record],
    topk: Sequence[int] = (1, 5),
    output: str | None = None,
) -> Classification:
    """Runs both networks on all records. output: the scores, default the first output.

    Raises DataError without samples, for scores that are NaN and for labels that are no class of the network.
    """
    name = float_network.output(output)
    result = Classification(0, 0, 0, [Rate(k) for k in topk])
    for record in records:
        networks = zip(SIDES, (float_network, quantized_network), strict=True)
        scores = {side: _scores(network, record, name) for side, network in networks}
        labels = None if record.labels is None else _checked(record, scores["float"])
        if labels is not None:
            result.labelled += len(labels)
            for rate in result.rates:
                rate.add(scores, labels)
        for i, (f, q) in enumerate(zip(*scores.values(), strict=True)):
            row = paired_row(result.samples, record.key, None if labels is None else int(labels[i]), f, q)
            result.paired.append(row)
            if row["float"] != row["quantized"]:
                result.flips += 1
                result.flipped += [row] if len(result.flipped) < LISTED_FLIPS else []
            result.samples += 1
    if not result.samples:
        raise DataError("no samples to classify")
    return result


def _scores(network: Network, record: Record, name: str) -> Array:
    rows = as_rows(network.run(record.feeds)[name]).astype(np.float64)
    if np.isnan(rows).any():
        raise DataError(f"{record.key}: {network.name} returns scores that are no numbers")
    return rows


def _checked(record: Record, scores: Array) -> Array:
    labels = np.asarray(record.labels).ravel()
    if labels.shape != (len(scores),):
        raise DataError(f"{record.key}: {labels.size} labels for {len(scores)} samples")
    wrong = labels[(labels < 0) | (labels >= scores.shape[1])]
    if wrong.size:
        raise DataError(f"{record.key}: label {wrong[0]}, the network has {scores.shape[1]} classes")
    return labels.astype(np.int64)
