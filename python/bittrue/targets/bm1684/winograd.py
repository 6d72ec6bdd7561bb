"""Winograd F(2,3) of 3x3 convolutions, in integers: 8-bit weights in the transformed domain, everything else exact.

The transforms of data and results only add and subtract, and nothing is rounded before the shift, so the integer sum of
each of the four results of a 2x2 tile is a plain one over its 4x4 inputs. The layer is therefore a convolution of 4x4
with stride 2 and four times the channels, whose integer weights follow from the transformed ones, and a rearrangement.

Weights as the Sophgo compiler derives them (evidence: source); that the chip rounds only once was never recorded
(evidence: assumed).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.quantize import integer as q
from bittrue.quantize.context import Array, Context
from bittrue.targets.bm1684.weights import shift_and_bias
from bittrue.targets.factors import weight_shift

F = np.float32
LEAST_PIXELS = 100
GROUP_CHANNELS = 64
WEIGHT = np.asarray([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], F)  # G
DATA = np.asarray([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # B transposed
TILES = "tiles"  # what the convolution of a layer `conv` is called: `conv/tiles`
RESULT = np.asarray([[1, 1, 1, 0], [0, 1, -1, -1]])  # A transposed


def runs_as_winograd(ctx: Context, node: Node, weight: Array) -> bool:
    """Whether the compiler uses Winograd for a convolution if asked to (evidence: source)."""
    attrs, (_, channels, height, width) = node.attrs, ctx.shape(node.outputs[0])
    group = attrs["group"]
    return (
        node.op == "Conv"
        and weight.shape[2:] == (3, 3)
        and list(attrs.get("strides", [1, 1])) == [1, 1] == list(attrs.get("dilations", [1, 1]))
        and height * width >= LEAST_PIXELS
        and not (weight.shape[1] == 1 and group == channels)
        and (group == 1 or channels // group % GROUP_CHANNELS == 0)
    )


def transformed(weight: Array) -> Array:
    """G w G^T in binary32: (OC, C, 3, 3) to (OC, C, 4, 4)."""
    result: Array = WEIGHT @ weight.astype(F) @ WEIGHT.T
    return result


def first_shift(ctx: Context, weight: Array, sx: float, sy: float) -> int:
    """The shift by the largest transformed weight. The published code swaps the two scales here."""
    largest = float(np.abs(transformed(weight)).max(initial=0))
    swapped = ctx.target.profile.rule("bm1684.wino_shift_swap") == "on"
    return max(0, weight_shift(largest, sy, sx) if swapped else weight_shift(largest, sx, sy))


def scaled_weights(u: Array, shift: int, sx: float, sy: float) -> Array:
    """clip(floor(U * 2^shift * Sx / Sy + 0.5)) as int8."""
    result: Array = np.clip(np.floor(u * F(2.0**shift * sx / sy) + F(0.5)), -128, 127).astype(np.int8)
    return result


def tile_weights(u: Array) -> Array:
    """Integer weights (OC * 4, C, 4, 4) of the convolution of stride 2 that Winograd with the transformed weights
    (OC, C, 4, 4) is. Output channel 4 * c + 2 * i + j is the result at row i, column j of a tile."""
    kernels = np.einsum("ia,jb,ap,bq,ocab->oijcpq", RESULT, RESULT, DATA, DATA, u.astype(np.int64), optimize=True)
    oc, _, _, c = kernels.shape[:4]
    return np.ascontiguousarray(kernels.reshape(oc * 4, c, 4, 4), np.int16)


def stored_weights(kernels: Array) -> Array:
    """Inverse of `tile_weights`: the transformed weights (OC, C, 4, 4)."""
    k = kernels.astype(np.int64).reshape(-1, 2, 2, kernels.shape[1], 4, 4)
    rows = _undo(k.transpose(1, 4, 0, 2, 3, 5))  # 4, OC, j, C, q
    return _undo(rows.transpose(2, 4, 1, 3, 0)).transpose(1, 2, 3, 0)  # OC, C, a, b


def _undo(k: Array) -> Array:
    """Weights (4, ..) along one axis from kernels (2, 4, ..): k[0] = (u0, u1 - u2, u1 + u2 - u0, 0) and
    k[1] = (0, u1 + u2 - u3, u1 - u2, u3)."""
    u0 = k[0, 0]
    plus, minus = k[0, 2] + u0, k[0, 1]
    return np.stack([u0, (plus + minus) // 2, (plus - minus) // 2, k[1, 3]])


def winograd(ctx: Context, node: Node, weight: Array, stage: dict[str, Any]) -> None:
    """Writes a convolution. stage: accumulator and output stage, without the shift."""
    sx, sy = ctx.scale(node.inputs[0]), ctx.scale(node.outputs[0])
    shift, bias = shift_and_bias(first_shift(ctx, weight, sx, sy), q.optional_bias(ctx, node), sy)
    u = scaled_weights(transformed(weight), shift, sx, sy)
    x, y = node.inputs[0], node.outputs[0]
    n, channels, height, width = ctx.shape(y)
    tiles = (-(-height // 2), -(-width // 2))
    top, left, bottom, right = node.attrs["pads"]
    pads = [top, left, bottom + 2 * tiles[0] - height, right + 2 * tiles[1] - width]
    inputs = [ctx.read_quantized(x), ctx.add_constant(f"{node.name}/winograd", tile_weights(u))]
    if bias is not None:
        inputs.append(ctx.add_constant(f"{node.name}/winograd_bias", np.repeat(bias, 4)))
    dtype = ctx.dtype(y)

    def step(op: str, what: str, source: list[str], shape: tuple[int, ...], attrs: dict[str, Any]) -> str:
        name = ctx.graph.unique_name(f"{y}/{what}")
        return ctx.emit_shape(op, f"{node.name}/{what}", source, name, TensorType(dtype, shape), attrs)

    window = {"strides": [2, 2], "dilations": [1, 1], "pads": pads, "group": node.attrs["group"]}
    attrs = window | stage | {"shift": [shift]}
    sums = step("Conv2d", TILES, inputs, (n, 4 * channels, *tiles), attrs)
    split = step("Reshape", "split", [sums], (n, channels, 2, 2, *tiles), {})
    order = [0, 1, 4, 2, 5, 3]
    moved = step("Transpose", "rows", [split], (n, channels, tiles[0], 2, tiles[1], 2), {"perm": order})
    if (2 * tiles[0], 2 * tiles[1]) == (height, width):
        ctx.write_quantized("Reshape", node, [moved], {})
        return
    whole = step("Reshape", "whole", [moved], (n, channels, 2 * tiles[0], 2 * tiles[1]), {})
    ctx.write_quantized("Slice", node, [whole], {"starts": [0] * 4, "steps": [1] * 4})
