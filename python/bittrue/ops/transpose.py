"""Transpose by a permutation of the axes."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Transpose", "perm")
def transpose(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    return [np.transpose(np.asarray(inputs[0]), node.attrs.get("perm"))]
