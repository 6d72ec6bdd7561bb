"""TopK along one axis: values and indices ordered by value; equal values by index, NaN is the largest."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode
from bittrue.ops.registry import Array, op


@op("TopK", *MODE, "axis", "largest", "sorted")
def top_k(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    x = Mode.of(node.attrs).read(inputs[0])
    axis = node.attrs.get("axis", -1)
    nan = np.isnan(x)
    sign = -1 if node.attrs.get("largest", 1) else 1
    order = np.lexsort((sign * np.where(nan, 0, x), sign * nan.astype(np.int8)), axis=axis)
    chosen = np.take(order, range(outputs[0].shape[axis]), axis=axis)
    return [np.take_along_axis(x, chosen, axis), chosen][: len(outputs)]
