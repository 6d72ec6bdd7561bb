"""MSE (OCTAV): mean over records of the threshold of least squared error (evidence: source)."""

import numpy as np

import bittrue._core as _core
from bittrue.calibrate.methods import Array, Parameters, mean_of_records


@mean_of_records("mse", ("tpumlir", "native"))
def mse(x: Array, parameters: Parameters) -> float:
    return octav(x, published=parameters.variant == "tpumlir")


def octav(x: Array, bits: int = 8, published: bool = False) -> float:
    """Clipping threshold of least mean squared error for one record (OCTAV). `published` counts
    exact zeros as the vendor's code does."""
    values = np.ascontiguousarray(x)
    total, nonzero = _core.tail_above(values, 0.0)
    if not nonzero:
        return 1.0
    u = 4 if abs(float(values.min())) < 1e-6 else 1
    counted = values.size if published else nonzero
    s = total / nonzero
    for _ in range(20):
        outside, above = _core.tail_above(values, s)
        new = outside / (4.0**-bits / (3 * u) * (counted - above) + above)
        if abs(new - s) < 1e-6:
            break
        s = new
    return s
