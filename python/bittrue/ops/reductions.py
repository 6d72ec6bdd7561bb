"""Reduce and ArgMax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import output_stage
from bittrue.ops.registry import STAGE, Array, op


@op("Reduce", "kind", "axes", "keepdims", "x_zero_point", *STAGE)
def reduce(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x = inputs[0]
    assert x is not None
    axes = tuple(node.attrs["axes"])
    v = x.astype(np.int64) - node.attrs.get("x_zero_point", 0)
    kind = node.attrs.get("kind", "sum")
    reduced = v.max(axes) if kind == "max" else v.min(axes) if kind == "min" else v.sum(axes)
    divisor = max(1, int(np.prod([x.shape[a] for a in axes])))
    return [output_stage(np.asarray(reduced).reshape(outputs[0].shape), node.attrs, outputs[0].dtype, divisor=divisor)]


@op("ArgMax", "axis", "keepdims", "select_last_index")
def arg_max(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x = inputs[0]
    assert x is not None
    axis = node.attrs["axis"]
    if node.attrs.get("select_last_index", 0):
        return [x.shape[axis] - 1 - np.flip(x, axis).argmax(axis)]
    return [x.argmax(axis)]
