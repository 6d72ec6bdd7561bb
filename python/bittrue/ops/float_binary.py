"""FloatBinary: one binary32 operation on two inputs that broadcast."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.floats import MODE, Mode, fused_relu, maximum, minimum, recip_newton
from bittrue.ops.registry import Array, op


@op("FloatBinary", *MODE, "kind", "division", "relu")
def float_binary(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    steps = mode.steps
    a, b = mode.read(inputs[0]), mode.read(inputs[1])
    kind = node.attrs.get("kind", "add")
    if kind == "div" and node.attrs.get("division", "ieee") == "rsqrt2":
        y = steps.mul(a, recip_newton(b, steps))
    elif kind == "pow":
        with np.errstate(all="ignore"):
            y = np.power(a.astype(np.longdouble), b.astype(np.longdouble)).astype(np.float64).astype(np.float32)
    else:
        y = {
            "add": steps.add,
            "sub": steps.sub,
            "mul": steps.mul,
            "div": steps.div,
            "min": minimum,
            "max": maximum,
        }[kind](a, b)
    return [mode.read(fused_relu(y, node.attrs))]
