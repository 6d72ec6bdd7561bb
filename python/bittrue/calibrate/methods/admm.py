"""ADMM: scale and codes in turn until stable, from the largest value on; mean over records.

Evidence: assumed, the vendor's manual gives only the name. It finds the local optimum next to the maximum.
"""

import numpy as np

import bittrue._core as _core
from bittrue.calibrate.methods import Array, Parameters, mean_of_records

STEPS, STABLE = 50, 1e-7


@mean_of_records("admm")
def admm(x: Array, parameters: Parameters) -> float:
    values, limit = np.ascontiguousarray(x), parameters.levels - 1
    scale = float(np.abs(values).max(initial=0.0)) / limit
    if scale == 0:
        return 0.0
    for _ in range(STEPS):
        products, squares = _core.scale_sums(values, scale, limit)
        if squares == 0:
            break
        new = products / squares
        stable = abs(new - scale) <= STABLE * scale
        scale = new
        if stable:
            break
    return limit * scale
