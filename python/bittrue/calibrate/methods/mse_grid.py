"""MSE_GRID: of the thresholds at 1 % to 100 % of the maximum the one of least squared error; mean over records.

Evidence: assumed (our definition).
"""

import numpy as np

import bittrue._core as _core
from bittrue.calibrate.methods import Array, Parameters, mean_of_records

GRID = 100


@mean_of_records("mse_grid")
def mse_grid(x: Array, parameters: Parameters) -> float:
    values, limit = np.ascontiguousarray(x), parameters.levels - 1
    largest = float(np.abs(values).max(initial=0.0))
    best, chosen = np.inf, largest
    for k in range(1, GRID + 1) if largest else ():
        scale = largest * k / GRID / limit
        error = _core.squared_error(values, scale, limit)
        if error <= best:  # ties go to the larger threshold
            best, chosen = error, limit * scale
    return chosen
