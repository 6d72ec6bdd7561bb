"""Running comparison of float and quantized tensors, and of what they mean for a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class ErrorSums:
    """Running sums of one tensor, in double."""

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


def as_rows(scores: Array) -> Array:
    """One row of scores per sample of the batch."""
    return scores.reshape(scores.shape[0] if scores.ndim > 1 else 1, -1)


def paired_row(
    sample: int, key: str, label: int | None, float_scores: Array, quantized_scores: Array
) -> dict[str, Any]:
    """What two networks make of one sample: the best class of both, and the margin between their two best scores."""
    orders = ranked(float_scores), ranked(quantized_scores)
    margins = [_margin(s, o) for s, o in zip((float_scores, quantized_scores), orders, strict=True)]
    return {
        "sample": sample,
        "key": key,
        "label": label,
        "float": int(orders[0][0]),
        "quantized": int(orders[1][0]),
        "margin": margins[0],
        "quantized_margin": margins[1],
    }


def _margin(scores: Array, order: Array) -> float:
    best = scores[order[:2]].astype(np.float64)
    return float(best[0] - best[1]) if best.size > 1 else 0.0


@dataclass(frozen=True)
class Score:
    """Network outputs against float over all samples: the worst output's SQNR (None without signal) and cosine, and
    top-1 of the first output where the data has labels."""

    sqnr_db: float | None
    cosine: float
    top1: float | None

    def key(self, metric: str) -> tuple[float, float]:
        """Larger is better. metric: "sqnr", or "top1" with SQNR between equals."""
        sqnr = float("-inf") if self.sqnr_db is None else self.sqnr_db
        return (sqnr, 0.0) if metric == "sqnr" else (self.top1 if self.top1 is not None else 0.0, sqnr)


class Scorer:
    """Collects samples for a `Score`. outputs: names of the network outputs to compare, the classifier first."""

    def __init__(self, outputs: list[str]) -> None:
        self._sums = {name: ErrorSums() for name in outputs}
        self._right = self._labelled = 0

    def add(self, truth: Mapping[str, Array], got: Mapping[str, Array], labels: Array | None) -> None:
        for name, sums in self._sums.items():
            sums.add(truth[name], got[name])
        if labels is not None:
            first = next(iter(self._sums))
            best = [int(ranked(row)[0]) for row in as_rows(got[first])]
            self._right += sum(int(b == int(label)) for b, label in zip(best, labels, strict=True))
            self._labelled += len(labels)

    def score(self) -> Score:
        sqnr = [s.sqnr_db() for s in self._sums.values()]
        known = [v for v in sqnr if v is not None]
        return Score(
            min(known, default=None),
            min(s.cosine() for s in self._sums.values()),
            self._right / self._labelled if self._labelled else None,
        )
