"""PERCENTILE9999: quantile of |x| over all samples with linear interpolation (definition: assumed, the vendor's manual
gives only the name)."""

import math

from bittrue.calibrate.methods import Parameters, method
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.errors import DataError


def _quantile(stats: TensorStatistics, p: float) -> float:
    position = p * (stats.n - 1)
    lower = math.floor(position)
    if stats.n - 1 - lower >= stats.top.size:
        raise DataError(f"tensor {stats.name}: the stored extremes do not reach down to this percentile")
    # top is descending: element k from above is the one at n - 1 - k from below.
    below = float(stats.top[stats.n - 1 - lower])
    above = float(stats.top[max(0, stats.n - 2 - lower)])
    return below + (position - lower) * (above - below)


@method("percentile9999", needs="top")
def percentile9999(stats: TensorStatistics, parameters: Parameters) -> float:
    return _quantile(stats, 0.9999)


@method("percentile", needs="top")
def percentile(stats: TensorStatistics, parameters: Parameters) -> float:
    return _quantile(stats, parameters.percentile)
