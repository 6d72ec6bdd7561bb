"""Tile: repeats every axis."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Tile", "repeats")
def tile(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    return [np.tile(np.asarray(inputs[0]), node.attrs["repeats"])]
