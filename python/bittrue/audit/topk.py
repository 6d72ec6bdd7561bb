"""Top-k with ties as the vendor's accuracy layer counts them ("un-unique top-k")."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def better_scores(scores: Array, labels: Array) -> Array:
    """How many scores of a row (N, C) are strictly greater than that of its label (N,). A label is in the top k if
    there are fewer than k, so equal scores all count [assumed]."""
    own = scores[np.arange(len(labels)), labels]
    return (scores > own[:, None]).sum(1)


def rivals(scores: Array, labels: Array) -> Array:
    """How many other classes (N,) have exactly the score of the label. With `better_scores` below k and both together
    at k or above, the label is in the top k by a tie only."""
    own = scores[np.arange(len(labels)), labels]
    return (scores == own[:, None]).sum(1) - 1
