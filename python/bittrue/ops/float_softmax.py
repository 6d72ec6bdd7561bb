"""FloatSoftmax along one axis."""

from collections.abc import Sequence

import numpy as np

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, exp_taylor, maximum, recip_newton
from bittrue.ops.registry import Array, op


@op("FloatSoftmax", *MODE, "axis", "log", "functions")
def float_softmax(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    steps = mode.steps
    x = mode.read(inputs[0])
    axis = node.attrs.get("axis", -1) % x.ndim
    log = node.attrs.get("log", 0)
    neighbours = int(np.prod(x.shape[axis + 1 :])) == 1
    columns = np.moveaxis(x, axis, 0)
    m = columns[0]
    for row in columns:
        m = maximum(m, row)
    if {"ieee": False, "bm1684": True}[node.attrs.get("functions", "ieee")]:
        if log:
            raise UnsupportedError("log softmax with functions bm1684")
        e = exp_taylor(steps.sub(columns, m), steps)
        sums = [np.zeros(m.shape, np.float32) for _ in range(2)]
        for c, row in enumerate(e):
            lane = c % 2 if neighbours else 0
            sums[lane] = steps.add(sums[lane], row)
        y = steps.mul(e, recip_newton(steps.add(*sums), steps))
    else:
        with np.errstate(all="ignore"):
            difference = columns.astype(np.float64) - m.astype(np.float64)
            wide = np.exp(difference.astype(np.longdouble)).astype(np.float64)
            total = np.zeros(m.shape, np.float64)
            for row in wide:
                total = total + row
            logarithm = np.log(total.astype(np.longdouble)).astype(np.float64)
            y = (difference - logarithm if log else wide / total).astype(np.float32)
    return [mode.read(np.moveaxis(y, 0, axis))]
