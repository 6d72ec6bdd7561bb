"""Pad with a constant, the edge or a reflection; negative pads crop."""

from collections.abc import Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op


@op("Pad", "pads", "mode", "value")
def pad(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    x = np.asarray(inputs[0])
    pads = node.attrs["pads"]
    begins, ends = pads[: x.ndim], pads[x.ndim :]
    width = [(max(b, 0), max(e, 0)) for b, e in zip(begins, ends, strict=True)]
    mode = node.attrs.get("mode", "constant")
    if mode == "constant":
        y = np.pad(x, width, constant_values=x.dtype.type(node.attrs.get("value", 0)))
    elif mode == "edge":
        y = np.pad(x, width, mode="edge")
    elif mode == "reflect":
        y = np.pad(x, width, mode="reflect")
    else:
        raise ValueError(f"unknown mode '{mode}'")
    crop = tuple(slice(max(-b, 0), n - max(-e, 0)) for b, e, n in zip(begins, ends, y.shape, strict=True))
    return [y[crop]]
