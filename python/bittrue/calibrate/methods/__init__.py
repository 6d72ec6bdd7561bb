"""Threshold methods, one file each; `@method` registers them.

A method takes the statistics of one tensor and the parameters and returns a threshold; `needs` says what the collector
must gather: "histogram", "top" or "octav".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from bittrue.calibrate.statistics import TensorStatistics
from bittrue.errors import UsageError


@dataclass(frozen=True)
class Parameters:
    """Parameters of the methods. levels: quantization levels of one sign (128 for 8 bits)."""

    bins: int = 2048
    levels: int = 128
    percentile: float = 0.9999
    variant: str = "tpumlir"


@dataclass(frozen=True)
class Method:
    name: str
    needs: str
    threshold: Callable[[TensorStatistics, Parameters], float]


METHODS: dict[str, Method] = {}


def method(
    name: str, needs: str = ""
) -> Callable[[Callable[[TensorStatistics, Parameters], float]], Callable[[TensorStatistics, Parameters], float]]:
    """Registers the decorated function."""

    def register(
        function: Callable[[TensorStatistics, Parameters], float],
    ) -> Callable[[TensorStatistics, Parameters], float]:
        METHODS[name] = Method(name, needs, function)
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
