"""MSE (OCTAV): mean over records of the threshold of least squared error (evidence: source)."""

import math

from bittrue.calibrate.methods import Parameters, method
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.errors import UsageError


@method("mse", needs="octav")
def mse(stats: TensorStatistics, parameters: Parameters) -> float:
    if parameters.variant not in ("tpumlir", "native"):
        raise UsageError(f"no variant '{parameters.variant}' of mse; known: tpumlir, native")
    return math.fsum(stats.octav) / len(stats.octav)  # exact sum: the order of the records does not matter
