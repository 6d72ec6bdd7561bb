"""MatMul."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import output_stage
from bittrue.ops.registry import STAGE, Array, op


@op("MatMul", "a_zero_point", "b_zero_point", *STAGE)
def matmul(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    a, b, *rest = inputs
    assert a is not None and b is not None
    a = a.astype(np.int64) - node.attrs.get("a_zero_point", 0)
    b = b.astype(np.int64) - np.asarray(node.attrs.get("b_zero_point", [0]), np.int64)
    sums = a @ b
    if rest and rest[0] is not None:
        sums = sums + rest[0].astype(np.int64)
    return [output_stage(sums, node.attrs, outputs[0].dtype, axis=-1)]
