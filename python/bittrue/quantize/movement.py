"""Ops that only move data: the same node on quantized or float tensors, and shape ops as Reshape and Transpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.quantize.context import Context, FallbackError

COORDINATES = {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"}


def moves_quantized(ctx: Context, node: Node) -> bool:
    """Whether the input exists in quantized form and every output shares its scale."""
    x = node.inputs[0]
    return x in ctx.quantized and all(
        o in ctx.ranges and ctx.ranges[o].threshold == ctx.ranges[x].threshold and ctx.signed(o) == ctx.signed(x)
        for o in node.outputs
    )


def emit_move(ctx: Context, node: Node, op: str, attrs: dict[str, Any], extra: list[str] | None = None) -> None:
    """One node op(x, *extra) in the form x has, for every output of the node (Slice per output for Split)."""
    x = node.inputs[0]
    as_quantized = moves_quantized(ctx, node)
    source = ctx.read_quantized(x) if as_quantized else ctx.read_float(x)
    dtype = ctx.graph.types[source].dtype
    names = [ctx.quantized_name(o) if as_quantized else o for o in node.outputs]
    for o, name in zip(node.outputs, names, strict=True):
        ctx.graph.types[name] = TensorType(dtype, ctx.shape(o))
        if as_quantized:
            ctx.quantized[o] = name
            ctx.record(o, name)
        else:
            ctx.floats[o] = name
    attrs = {**attrs, "evidence": ctx.evidence}
    ctx.graph.nodes.append(Node(op, node.name, [source, *(extra or [])], names, attrs, "bittrue"))


def reshape(ctx: Context, node: Node) -> None:
    emit_move(ctx, node, "Reshape", {})


def transpose(ctx: Context, node: Node) -> None:
    rank = len(ctx.shape(node.inputs[0]))
    emit_move(ctx, node, "Transpose", {"perm": list(node.attrs.get("perm", range(rank)[::-1]))})


def split(ctx: Context, node: Node) -> None:
    rank = len(ctx.shape(node.inputs[0]))
    emit_move(ctx, node, "Split", {"axis": node.attrs.get("axis", 0) % rank})


def slice_(ctx: Context, node: Node) -> None:
    shape = ctx.shape(node.inputs[0])
    values = [ctx.constant(i) if i else None for i in node.inputs[1:]]
    values += [None] * (4 - len(values))
    if values[0] is None:
        raise FallbackError("starts are not constant")
    first = values[0].ravel()
    axes = values[2].ravel() if values[2] is not None else np.arange(first.size)
    steps = values[3].ravel() if values[3] is not None else np.ones(first.size, np.int64)
    starts, strides = [0] * len(shape), [1] * len(shape)
    for start, axis, step in zip(first, axes, steps, strict=True):
        d = shape[int(axis)]
        begin = int(start) + d if start < 0 else int(start)
        axis = int(axis) % len(shape)
        starts[axis] = max(0, min(begin, d if step > 0 else d - 1))
        strides[axis] = int(step)
    emit_move(ctx, node, "Slice", {"starts": starts, "steps": strides})


def gather(ctx: Context, node: Node) -> None:
    rank = len(ctx.shape(node.inputs[0]))
    if ctx.constant(node.inputs[1]) is None:
        raise FallbackError("indices are not constant")
    emit_move(ctx, node, "Gather", {"axis": node.attrs.get("axis", 0) % rank}, [ctx.read_constant(node.inputs[1])])


def tile(ctx: Context, node: Node) -> None:
    repeats = ctx.constant(node.inputs[1])
    if repeats is None:
        raise FallbackError("repeats are not constant")
    emit_move(ctx, node, "Tile", {"repeats": [int(v) for v in repeats.ravel()]})


def expand(ctx: Context, node: Node) -> None:
    emit_move(ctx, node, "Expand", {})


def pad(ctx: Context, node: Node) -> None:
    pads = ctx.constant(node.inputs[1])
    mode = node.attrs.get("mode", "constant")
    value = ctx.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(())
    if pads is None or value is None or np.any(pads < 0) or mode not in ("constant", "edge", "reflect"):
        raise FallbackError("pads are not constant, or negative, or of an unknown mode")
    x = node.inputs[0]
    fill: float | int = float(value)
    if moves_quantized(ctx, node):
        info = np.iinfo(ctx.dtype(x))
        fill = int(np.clip(np.sign(fill) * np.floor(abs(fill) / ctx.scale(x) + 0.5), info.min, info.max))
    emit_move(ctx, node, "Pad", {"pads": [int(v) for v in pads.ravel()], "mode": mode, "value": fill})


def depth_to_space(ctx: Context, node: Node) -> None:
    """DCR: [b, b, C', H, W] -> [C', H, b, W, b]; CRD: [C', b, b, H, W]."""
    n, c, h, w = ctx.shape(node.inputs[0])
    b = node.attrs["blocksize"]
    if node.attrs.get("mode", "DCR") == "DCR":
        middle, perm = (n, b, b, c // b // b, h, w), [0, 3, 4, 1, 5, 2]
    else:
        middle, perm = (n, c // b // b, b, b, h, w), [0, 1, 4, 2, 5, 3]
    _three_steps(ctx, node, middle, perm)


def space_to_depth(ctx: Context, node: Node) -> None:
    n, c, h, w = ctx.shape(node.inputs[0])
    b = node.attrs["blocksize"]
    _three_steps(ctx, node, (n, c, h // b, b, w // b, b), [0, 3, 5, 1, 2, 4])


def _three_steps(ctx: Context, node: Node, middle: tuple[int, ...], perm: list[int]) -> None:
    x = node.inputs[0]
    as_quantized = moves_quantized(ctx, node)
    source = ctx.read_quantized(x) if as_quantized else ctx.read_float(x)
    dtype = ctx.graph.types[source].dtype
    a = ctx.graph.unique_name(f"{node.outputs[0]}/blocks")
    ctx.emit_shape("Reshape", f"{node.name}/blocks", [source], a, TensorType(dtype, middle), {})
    b = ctx.graph.unique_name(f"{node.outputs[0]}/permuted")
    moved = TensorType(dtype, tuple(middle[p] for p in perm))
    ctx.emit_shape("Transpose", f"{node.name}/permute", [a], b, moved, {"perm": perm})
    if as_quantized:
        ctx.write_quantized("Reshape", node, [b], {})
    else:
        ctx.write_float("Reshape", node, [b], {})


def resize(ctx: Context, node: Node) -> None:
    """Nearest moves data in any form; linear runs in float."""
    x, y = ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0])
    mode = node.attrs.get("mode", "nearest")
    coordinate = node.attrs.get("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear") or coordinate not in COORDINATES or x[:-2] != y[:-2]:
        raise FallbackError(f"mode {mode}, {coordinate}")
    scales = ctx.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    factors = [float(v) for v in scales[-2:]] if scales is not None and scales.size else [y[-2] / x[-2], y[-1] / x[-1]]
    attrs: dict[str, Any] = {"mode": mode, "coordinate": coordinate, "scales": factors}
    if mode == "nearest":
        emit_move(ctx, node, "Resize", attrs | {"nearest": node.attrs.get("nearest_mode", "round_prefer_floor")})
    else:
        ctx.write_float("Resize", node, [ctx.read_float(node.inputs[0])], attrs)


MOVEMENT = {
    "Reshape": reshape,
    "Flatten": reshape,
    "Squeeze": reshape,
    "Unsqueeze": reshape,
    "Identity": reshape,
    "Dropout": reshape,
    "Transpose": transpose,
    "Split": split,
    "Slice": slice_,
    "Gather": gather,
    "Tile": tile,
    "Expand": expand,
    "Pad": pad,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
