"""Reshape to the shape of the output type."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Reshape")
def reshape(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    return [np.asarray(inputs[0]).reshape(outputs[0].shape)]
