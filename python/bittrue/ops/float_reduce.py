"""FloatReduce: one accumulator over the reduced elements in row-major order, in binary32."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, maximum, minimum, reciprocal_count
from bittrue.ops.registry import Array, op


@op("FloatReduce", *MODE, "kind", "axes", "keepdims")
def float_reduce(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    steps = mode.steps
    x = mode.read(inputs[0])
    kind = node.attrs.get("kind", "sum")
    axes = sorted(a % x.ndim for a in node.attrs.get("axes", [])) or list(range(x.ndim))
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = x.transpose(*axes, *kept).reshape(-1, *[x.shape[a] for a in kept])
    y = rows[0] if kind in ("max", "min") else np.full(rows.shape[1:], kind == "prod", np.float32)
    for row in rows:
        if kind in ("sum_square", "l2"):
            row = steps.mul(row, row)
        elif kind == "l1":
            row = np.abs(row)
        y = {"max": maximum, "min": minimum, "prod": steps.mul}.get(kind, steps.add)(y, row)
    if kind == "mean":
        y = steps.mul(y, reciprocal_count(len(rows)))
    elif kind == "l2":
        with np.errstate(invalid="ignore"):
            y = np.sqrt(y)
    return [mode.read(y)]
