"""Expand: numpy broadcast to the output type."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Expand")
def expand(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    return [np.broadcast_to(np.asarray(inputs[0]), outputs[0].shape)]
