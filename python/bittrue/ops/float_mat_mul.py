"""FloatMatMul: matrix product in binary32; also the fully connected layer."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, fused_relu
from bittrue.ops.registry import Array, op


@op("FloatMatMul", *MODE, "order", "relu")
def float_mat_mul(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    a, b, bias = (None if v is None else mode.read(v) for v in (*inputs, None)[:3])
    assert a is not None and b is not None
    lanes = {"plain": 1, "alternate": 2}[node.attrs.get("order", "plain")]
    sums = [np.zeros(outputs[0].shape, np.float32) for _ in range(lanes)]
    for k in range(a.shape[-1]):
        sums[k % lanes] = mode.steps.add(sums[k % lanes], mode.steps.mul(a[..., :, k, None], b[..., k, None, :]))
    y = sums[0] if lanes == 1 else mode.steps.add(sums[0], sums[1])
    if bias is not None:
        y = mode.steps.add(y, bias)
    return [mode.read(fused_relu(y, node.attrs))]
