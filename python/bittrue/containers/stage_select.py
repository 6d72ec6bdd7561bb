"""Which stage of a net runs for given input shapes (the vendor runtime's rules)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bittrue.containers.bmodel_codes import tensor_shape
from bittrue.containers.build import stage_dynamic
from bittrue.containers.flat import Table
from bittrue.errors import DataError

Shape = tuple[int, ...]


def select_stage(net: Table, shapes: Sequence[Shape]) -> int:
    """Index of the stage for inputs of these shapes, in input order.

    Static nets: the first stage with exactly these shapes; with a single stage, equal element counts are enough.
    Dynamic nets: every dim at most the stage's; an exact match, else the stage whose first input is nearest.
    Raises DataError saying which input and dim fit no stage.
    """
    stages = [[tensor_shape(t) for t in stage.input_tensor] for stage in net.parameter or []]
    for index, own in enumerate(stages):
        if own == list(shapes):
            return index
    if stages and stage_dynamic(net.parameter[0]):
        fitting = [i for i, own in enumerate(stages) if not _misfit(own, shapes)]
        if fitting:
            return min(fitting, key=lambda i: _distance(stages[i], shapes))
    elif len(stages) == 1 and [math.prod(s) for s in stages[0]] == [math.prod(s) for s in shapes]:
        return 0
    reason = _misfit(stages[0], shapes) if len(stages) == 1 else ""
    choices = "; ".join(" ".join(str(list(s)) for s in own) for own in stages)
    raise DataError(
        f"net '{net.name}': Shapes of the input tensors are not supported: "
        f"{reason or f'{[list(s) for s in shapes]} fits no stage'} (stages: {choices or 'none'})"
    )


def _misfit(own: list[Shape], shapes: Sequence[Shape]) -> str:
    if len(own) != len(shapes):
        return f"{len(shapes)} inputs given, the net has {len(own)}"
    for i, (limit, shape) in enumerate(zip(own, shapes, strict=True)):
        if len(limit) != len(shape):
            return f"input {i} has rank {len(shape)}, the stage {len(limit)}"
        for d, (most, given) in enumerate(zip(limit, shape, strict=True)):
            if given > most:
                return f"input {i} dim {d} is {given}, at most {most}"
    return ""


def _distance(own: list[Shape], shapes: Sequence[Shape]) -> int:
    """Product of the differences of the first input that are not zero."""
    if not own:
        return 0
    return math.prod(most - given for most, given in zip(own[0], shapes[0], strict=True) if most != given)
