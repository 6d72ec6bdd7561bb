"""Slice with starts and steps; the output type gives the lengths."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Slice", "starts", "steps")
def slice_(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    x = np.asarray(inputs[0])
    steps = node.attrs.get("steps", [1] * x.ndim)
    for axis, (start, step, n) in enumerate(zip(node.attrs["starts"], steps, outputs[0].shape, strict=True)):
        first = start + x.shape[axis] if start < 0 else start
        x = np.take(x, [first + i * step for i in range(n)], axis)
    return [x]
