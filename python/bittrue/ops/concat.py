"""Concat along one axis, with requantization of integers where attributes ask for it."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import INT_RANGES, input_stage
from bittrue.ops.registry import INPUT_STAGE, Array, op


@op("Concat", "axis", *INPUT_STAGE, "zero_point", "clamp_min", "clamp_max")
def concat(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    arrays = [np.asarray(x) for x in inputs]
    if set(node.attrs) & {"input_requant", "input_zero_point", "left_shift", "zero_point", "clamp_min", "clamp_max"}:
        lo, hi = INT_RANGES[outputs[0].dtype]
        limits = node.attrs.get("clamp_min", lo), node.attrs.get("clamp_max", hi)
        zero_point = int(node.attrs.get("zero_point", 0))
        arrays = [np.clip(input_stage(x, i, node.attrs) + zero_point, *limits) for i, x in enumerate(arrays)]
    return [np.concatenate(arrays, node.attrs.get("axis", 1))]
