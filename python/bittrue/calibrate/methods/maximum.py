"""MAX: the largest absolute value."""

from bittrue.calibrate.methods import Parameters, method
from bittrue.calibrate.statistics import TensorStatistics


@method("max")
def maximum(stats: TensorStatistics, parameters: Parameters) -> float:
    return stats.absmax
