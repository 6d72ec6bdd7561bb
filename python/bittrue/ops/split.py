"""Split along one axis; the output types give the lengths."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Split", "axis")
def split(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    axis = node.attrs.get("axis", 0)
    ends = np.cumsum([t.shape[axis] for t in outputs])
    return np.split(np.asarray(inputs[0]), ends[:-1], axis)
