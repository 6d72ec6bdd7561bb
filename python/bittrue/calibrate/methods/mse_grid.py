"""MSE_GRID: of the thresholds at 1 % to 100 % of the maximum the one of least squared error; mean over records.

Evidence: assumed (our definition).
"""

import numpy as np

from bittrue.calibrate.methods import Array, Parameters, mean_of_records

GRID = 100


@mean_of_records("mse_grid")
def mse_grid(x: Array, parameters: Parameters) -> float:
    values, limit = x.astype(np.float64).ravel(), parameters.levels - 1
    largest = float(np.abs(values).max(initial=0.0))
    best, chosen = np.inf, largest
    for k in range(1, GRID + 1) if largest else ():
        scale = largest * k / GRID / limit
        error = float(np.square(values - scale * np.clip(np.rint(values / scale), -limit - 1, limit)).mean())
        if error <= best:  # ties go to the larger threshold
            best, chosen = error, limit * scale
    return chosen
