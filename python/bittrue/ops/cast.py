"""Cast between integer types, bool and float32."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import INT_RANGES
from bittrue.ops.registry import Array, op


@op("Cast")
def cast(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    x = np.asarray(inputs[0])
    target = outputs[0].dtype
    if x.dtype != np.float32 or target in ("float32", "bool"):
        return [x.astype(target)]
    lo, hi = INT_RANGES[target]
    wide = np.where(np.isnan(x), np.float64(2**31 - 1), np.trunc(x.astype(np.float64)))
    inside = (wide > lo) & (wide < hi)
    return [np.where(inside, np.where(inside, wide, 0).astype(np.int64), np.where(wide >= hi, hi, lo))]
