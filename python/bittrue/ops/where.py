"""Where: a choice by a bool tensor, broadcasting."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Where")
def where(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    condition, a, b = (np.asarray(v) for v in inputs)
    return [np.where(condition, a, b)]
