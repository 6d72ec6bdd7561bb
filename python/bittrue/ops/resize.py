"""Resize of the last two axes, nearest or linear; coordinates in binary32."""

from collections.abc import Callable, Sequence

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op

F = np.float32


def _coordinates(rule: str, n_in: int, n_out: int, scale: np.float32) -> Array:
    i = np.arange(n_out)
    if rule == "asymmetric":
        return i.astype(F) / scale
    if rule == "align_corners":
        return (i * (n_in - 1)).astype(F) / F(n_out - 1) if n_out > 1 else np.zeros(n_out, F)
    if rule == "pytorch_half_pixel" and n_out == 1:
        return np.zeros(1, F)
    if rule not in ("half_pixel", "pytorch_half_pixel"):
        raise ValueError(f"unknown coordinate rule '{rule}'")
    return (i.astype(F) + F(0.5)) / scale - F(0.5)


_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda v: np.ceil(v - F(0.5)),
    "round_prefer_ceil": lambda v: np.floor(v + F(0.5)),
    "floor": lambda v: np.floor(v),
    "ceil": lambda v: np.ceil(v),
}


@op("Resize", "mode", "coordinate", "nearest", "scales")
def resize(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    x = np.asarray(inputs[0])
    out = outputs[0].shape[-2:]
    scales = node.attrs.get("scales", [o / i for o, i in zip(out, x.shape[-2:], strict=True)])
    rule = node.attrs.get("coordinate", "half_pixel")
    where = [_coordinates(rule, x.shape[k - 2], out[k], F(scales[k])) for k in range(2)]
    if node.attrs.get("mode", "nearest") == "nearest":
        rounding = _ROUNDINGS[node.attrs.get("nearest", "round_prefer_floor")]
        for axis in (-2, -1):
            index = np.clip(rounding(where[axis]).astype(np.int64), 0, x.shape[axis] - 1)
            x = np.take(x, index, axis)
        return [x]
    if node.attrs["mode"] != "linear":
        raise ValueError(f"unknown mode '{node.attrs['mode']}'")
    with np.errstate(all="ignore"):
        for axis in (-1, -2):
            last = x.shape[axis] - 1
            position = np.clip(where[axis], F(0), F(last))
            first = position.astype(np.int64)
            d = (position - first.astype(F)).reshape((-1, 1) if axis == -2 else (-1,))
            x = np.take(x, first, axis) * (F(1) - d) + np.take(x, np.minimum(first + 1, last), axis) * d
    return [x]
