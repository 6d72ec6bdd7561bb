"""Statistics of activations over a data set, and the histogram of absolute values.

Histogram modes: "two-pass" finds the range first and counts in a second pass; "one-pass" counts in bins whose width is
a power of two, so that neither the order of the records nor their division into parts matters; "tpumlir" reproduces the
published Sophgo code in one pass (evidence: source).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import bittrue._core as _core
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
LARGEST_HISTOGRAM = 8_000_000
DYADIC_BINS = 1 << 16


@dataclass
class TensorStatistics:
    """What the threshold methods need. hist counts |x| > 0 in bins of `width`; top holds the largest |x|, descending.

    top_complete: whether `top` holds every value. per_record: one number for every record, by the method that needs raw
    values; record_sizes: elements of those records.
    """

    name: str
    n: int = 0
    min: float = float("inf")
    max: float = float("-inf")
    records: int = 0
    hist: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    width: float = 0.0
    top: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    top_complete: bool = True
    per_record: dict[str, list[float]] = field(default_factory=dict)
    record_sizes: list[int] = field(default_factory=list)

    @property
    def absmax(self) -> float:
        return max(abs(self.min), abs(self.max))

    @property
    def constant(self) -> bool:
        return self.min == self.max

    def look(self, x: Array, key: str) -> float:
        """First pass over one record; returns its largest magnitude. Raises DataError for NaN and infinity, naming
        tensor, index and record."""
        x = np.ascontiguousarray(x, np.float32)
        broken, low, high = _core.range_of(x)
        if broken >= 0:
            index = tuple(int(i) for i in np.unravel_index(broken, x.shape))
            what = "NaN" if np.isnan(x[index]) else "infinity"
            raise DataError(f"tensor {self.name}: {what} at index {index}, record {self.records} (key {key})")
        self.n += x.size
        self.records += 1
        if not x.size:
            return 0.0
        self.min, self.max = min(self.min, low), max(self.max, high)
        return max(-low, high)

    def keep_top(self, x: Array, count: int) -> None:
        """Keeps the `count` largest |x| seen so far."""
        both = np.concatenate([self.top, np.abs(x, dtype=np.float32).ravel()])
        if both.size > count:
            both = np.partition(both, both.size - count)[both.size - count :]
            self.top_complete = False
        self.top = np.sort(both)[::-1]

    def count(self, x: Array, bins: int) -> None:
        """Second pass: native histogram with width absmax/bins."""
        if self.absmax == 0:
            return
        if not self.hist.size:
            self.hist = np.zeros(bins, np.int64)
            self.width = self.absmax / bins
        self.hist += _core.abs_histogram(np.ascontiguousarray(x, np.float32), self.width, bins)

    def count_dyadic(self, x: Array, largest: float) -> None:
        """One record of the one-pass histogram: 2^16 bins up to a power of two above the largest magnitude; when it
        grows, neighbouring bins are added. largest: of the record."""
        if largest == 0:
            return
        width = 2.0 ** (math.frexp(largest)[1]) / DYADIC_BINS
        if not self.hist.size:
            self.hist, self.width = np.zeros(DYADIC_BINS, np.int64), width
        self.widen(width)
        self.hist += _core.abs_histogram(np.ascontiguousarray(x, np.float32), self.width, DYADIC_BINS)

    def widen(self, width: float) -> None:
        """Bins of the one-pass histogram as wide as a larger power of two."""
        while self.width < width:
            folded = self.hist.reshape(-1, 2).sum(1)
            self.hist = np.concatenate([folded, np.zeros(DYADIC_BINS - folded.size, np.int64)])
            self.width *= 2

    def count_growing(self, x: Array, largest: float, bins: int) -> None:
        """One record of the published one-pass histogram: new bins of equal width are appended as the range grows.
        largest: magnitude of the record."""
        if largest == 0:
            return
        if not self.hist.size:
            self.hist, self.width = np.zeros(bins, np.int64), largest / (bins - 1)
        else:
            covered = self.width * (self.hist.size - 1)
            if largest > covered:
                step = covered / self.hist.size
                extra = int((largest - covered) / step) + 1
                covered += extra * step
                if self.hist.size + extra > LARGEST_HISTOGRAM:
                    self.hist, self.width = np.zeros(bins, np.int64), largest / (bins - 1)
                else:
                    self.hist = np.concatenate([self.hist, np.zeros(extra, np.int64)])
                    self.width = covered / (self.hist.size - 1)
        _core.add_rounded_histogram(np.ascontiguousarray(x, np.float32), float(np.float32(self.width)), self.hist)
