"""Origins between two sides of which either may be the wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bittrue.report.result import BORN, TensorResult
from bittrue.verify.explain.run import Explainer
from bittrue.verify.graph import GraphComparison

Array = np.ndarray[Any, Any]
WRONG = (*BORN, "UNRESOLVED")


def find_side(
    comparison: GraphComparison, tensors: list[TensorResult], ref: Mapping[str, Array], got: Mapping[str, Array]
) -> None:
    """Origins of the failing tensors of two dumps: the layer is simulated alone on the inputs that each side has, and
    the side that it does not agree with is named, with the cause. A layer that agrees with both passed the difference
    on."""
    if all(t.passed for t in tensors):
        return
    sides: dict[str, list[TensorResult]] = {}
    for side, arrays in (("reference", ref), ("run", got)):
        copies = [t.model_copy(deep=True) for t in tensors]
        Explainer(comparison.find_origins(copies, {}, arrays, arrays)).explain(copies)
        sides[side] = copies
    for position, t in enumerate(tensors):
        found = {side: copies[position] for side, copies in sides.items()}
        wrong = [side for side, copy in found.items() if copy.origin in WRONG]
        chosen = found[wrong[0] if wrong else "run"]
        t.origin, t.region, t.local, t.explains = chosen.origin, chosen.region, chosen.local, chosen.explains
        t.causes = chosen.causes
        if wrong:
            sentence = f"the simulated layer does not agree with the {' nor with the '.join(wrong)}"
            t.detail = "; ".join(part for part in (chosen.detail, sentence) if part)
