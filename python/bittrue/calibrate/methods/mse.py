"""MSE (OCTAV): mean over records of the threshold of least squared error (evidence: source)."""

import numpy as np

from bittrue.calibrate.methods import Array, Parameters, mean_of_records


@mean_of_records("mse", ("tpumlir", "native"))
def mse(x: Array, parameters: Parameters) -> float:
    return octav(x, published=parameters.variant == "tpumlir")


def octav(x: Array, bits: int = 8, published: bool = False) -> float:
    """Clipping threshold of least mean squared error for one record (OCTAV). `published` counts
    exact zeros as the vendor's code does."""
    magnitude = np.abs(x.astype(np.float64)).ravel()
    nonzero = magnitude[magnitude > 0]
    if not nonzero.size:
        return 1.0
    u = 4 if abs(float(x.min())) < 1e-6 else 1
    zeros = magnitude.size - nonzero.size if published else 0
    ordered = np.sort(nonzero)
    tail = np.concatenate([np.cumsum(ordered[::-1])[::-1], [0.0]])
    s = float(nonzero.sum() / nonzero.size)
    for _ in range(20):
        inside = int(np.searchsorted(ordered, s, side="right"))
        denominator = 4.0**-bits / (3 * u) * (inside + zeros) + (ordered.size - inside)
        new = float(tail[inside] / denominator)
        if abs(new - s) < 1e-6:
            break
        s = new
    return s
