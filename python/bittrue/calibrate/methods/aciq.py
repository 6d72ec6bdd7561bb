"""ACIQ: the clipping threshold that is best for a Laplace or a normal distribution; mean over records.

Evidence: source (published code and paper). `aciq` without suffix is the Laplace form (assumed: which form the vendor
means is not public). The `tpumlir` variant estimates sigma of the normal form from the range.
"""

import math

import numpy as np

from bittrue.calibrate.methods import Array, Parameters, mean_of_records
from bittrue.errors import UsageError

LAPLACE = {7: 9.89675982, 3: 5.02864014}  # bits of the magnitude -> threshold in units of mean |x - mean|
GAUSS = {7: 3.92403337, 3: 2.55913642}  # .. in units of sigma
RANGE_TO_SIGMA = 0.175 * (1 + math.sqrt(math.pi * math.log(4)))


def _factor(table: dict[int, float], levels: int) -> float:
    bits = levels.bit_length() - 1
    if bits not in table:
        raise UsageError(
            f"aciq has no factor for {levels} levels; known: {', '.join(str(2**b) for b in sorted(table))}"
        )
    return table[bits]


@mean_of_records("aciq_laplace")
def aciq_laplace(x: Array, parameters: Parameters) -> float:
    values = x.astype(np.float64).ravel()
    return _factor(LAPLACE, parameters.levels) * float(np.abs(values - values.mean()).mean())


@mean_of_records("aciq")
def aciq(x: Array, parameters: Parameters) -> float:
    return aciq_laplace(x, parameters)


@mean_of_records("aciq_gauss")
def aciq_gauss(x: Array, parameters: Parameters) -> float:
    values = x.astype(np.float64).ravel()
    sigma = float(values.std())
    if parameters.variant == "tpumlir" and values.size > 1:
        sigma = float(np.ptp(values)) * RANGE_TO_SIGMA / math.sqrt(2 * math.log(values.size))
    return _factor(GAUSS, parameters.levels) * sigma
