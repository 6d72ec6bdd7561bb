"""FloatNormalize: layer and instance normalization in binary32, two passes."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, flush_subnormal, reciprocal_count
from bittrue.ops.registry import Array, op


@op("FloatNormalize", *MODE, "kind", "axis", "epsilon")
def float_normalize(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    steps = mode.steps
    x, scale, bias = (None if v is None else mode.read(v) for v in (*inputs, None)[:3])
    assert x is not None and scale is not None
    instance = {"layer": False, "instance": True}[node.attrs.get("kind", "layer")]
    axis = 2 if instance else node.attrs.get("axis", -1) % x.ndim
    epsilon = np.float32(node.attrs.get("epsilon", 1e-5))
    rows = x.reshape(-1, int(np.prod(x.shape[axis:])))
    factor = reciprocal_count(rows.shape[1])
    total = np.zeros(rows.shape[0], np.float32)
    for column in rows.T:
        total = steps.add(total, column)
    centered = steps.sub(rows, steps.mul(total, factor)[:, None])
    squares = np.zeros(rows.shape[0], np.float32)
    for column in centered.T:
        squares = steps.add(squares, steps.mul(column, column))
    variance = steps.add(steps.mul(squares, factor), flush_subnormal(epsilon) if mode.flush else epsilon)
    with np.errstate(invalid="ignore"):
        r = steps.div(np.float32(1), np.sqrt(variance))

    def spread(v: Array) -> Array:
        """A parameter shaped to the rows."""
        return np.tile(v, x.shape[0])[:, None] if instance else v.reshape(1, -1)

    y = steps.mul(steps.mul(centered, r[:, None]), spread(scale))
    if bias is not None:
        y = steps.add(y, spread(bias))
    return [mode.read(y.reshape(x.shape))]
