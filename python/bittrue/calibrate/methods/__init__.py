"""Threshold methods, one file each; `@method` registers them.

A method takes the statistics of one tensor and the parameters and returns a threshold; `needs` says what the collector
must gather: "histogram", "top" (largest values) or "records" (one number for every record, which needs its raw values).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

from bittrue.calibrate.statistics import TensorStatistics
from bittrue.errors import UsageError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Parameters:
    """Parameters of the methods. levels: quantization levels of one sign (128 for 8 bits). one_pass: the histogram does
    not depend on the order of the records (see `bittrue.calibrate.statistics`), in place of the variant's own."""

    bins: int = 2048
    levels: int = 128
    percentile: float = 0.9999
    variant: str = "tpumlir"
    one_pass: bool = False

    @property
    def histogram(self) -> str:
        """Mode of the histogram."""
        return "one-pass" if self.one_pass else "tpumlir" if self.variant == "tpumlir" else "two-pass"


@dataclass(frozen=True)
class Method:
    """record: the number of one record, for methods that average over records. variants: those it has, if it asks."""

    name: str
    needs: str
    threshold: Callable[[TensorStatistics, Parameters], float]
    record: Callable[[Array, Parameters], float] | None = None
    variants: tuple[str, ...] = ()

    def has_variant(self, name: str) -> bool:
        return not self.variants or name in self.variants

    def check_variant(self, name: str) -> None:
        """Raises UsageError for a variant that the method does not have."""
        if not self.has_variant(name):
            raise UsageError(f"no variant '{name}' of {self.name}; known: {', '.join(self.variants)}")


METHODS: dict[str, Method] = {}


def method(
    name: str, needs: str = "", variants: tuple[str, ...] = ()
) -> Callable[[Callable[[TensorStatistics, Parameters], float]], Callable[[TensorStatistics, Parameters], float]]:
    """Registers the decorated function."""

    def register(
        function: Callable[[TensorStatistics, Parameters], float],
    ) -> Callable[[TensorStatistics, Parameters], float]:
        METHODS[name] = Method(name, needs, function, None, variants)
        return function

    return register


def mean_of_records(
    name: str, variants: tuple[str, ...] = ()
) -> Callable[[Callable[[Array, Parameters], float]], Callable[[Array, Parameters], float]]:
    """Registers the decorated function of one record's values; the threshold is the mean over the records, weighted by
    their elements where they differ in size."""

    def mean(stats: TensorStatistics, parameters: Parameters) -> float:
        largest = max(stats.record_sizes)
        weights = [size / largest for size in stats.record_sizes]  # 1.0 for records of one size
        weighted = (v * w for v, w in zip(stats.per_record[name], weights, strict=True))
        return math.fsum(weighted) / math.fsum(weights)  # exact: the order of the records does not matter

    def register(function: Callable[[Array, Parameters], float]) -> Callable[[Array, Parameters], float]:
        METHODS[name] = Method(name, "records", mean, function, variants)
        return function

    return register


def find_method(name: str) -> Method:
    """The method of a name in any case, an optional prefix use_ dropped. Raises UsageError."""
    key = name.lower().removeprefix("use_")
    if key not in METHODS:
        raise UsageError(f"no calibration method '{name}'; known: {', '.join(sorted(METHODS))}")
    return METHODS[key]


for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
