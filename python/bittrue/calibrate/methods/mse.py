"""MSE (OCTAV): mean over records of the threshold of least squared error (evidence: source)."""

import numpy as np

from bittrue.calibrate.methods import Parameters, method
from bittrue.calibrate.statistics import TensorStatistics


@method("mse", needs="octav")
def mse(stats: TensorStatistics, parameters: Parameters) -> float:
    return float(np.mean(stats.octav))
