"""Gather along one axis."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Gather", "axis")
def gather(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    return [np.take(np.asarray(inputs[0]), np.asarray(inputs[1]), node.attrs.get("axis", 0))]
