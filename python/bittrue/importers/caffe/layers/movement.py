"""Layers that only move data."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from bittrue.importers.caffe.writer import Writer, rule


@rule("Concat")
def concat(w: Writer) -> None:
    """per_fla_fuse (Intel's fork): every input is permuted to channels last and flattened before [assumed]."""
    p, parts = w.proto.concat_param, list(w.layer.bottoms)
    if p.per_fla_fuse:
        parts = [w.add("Transpose", [x], "permuted", perm=[0, 2, 3, 1]) for x in parts]
        parts = [w.add("Flatten", [x], "flat", axis=1) for x in parts]
    axis = p.concat_dim if p.HasField("concat_dim") else w.axis(p.axis, parts[0])
    w.add("Concat", parts, axis=axis)


@rule("Slice")
def slice_(w: Writer) -> None:
    p = w.proto.slice_param
    axis = w.axis(p.slice_dim if p.HasField("slice_dim") else p.axis)
    tops, length = w.layer.tops, w.shape(w.x)[axis]
    points = [0, *p.slice_point, length]
    if not p.slice_point:
        if length % len(tops):
            raise w.error(f"{length} elements in {len(tops)} equal parts")
        points = list(range(0, length + 1, length // len(tops)))
    lengths = [b - a for a, b in pairwise(points)]
    if len(lengths) != len(tops) or min(lengths) < 1:
        raise w.error(f"slice points {list(p.slice_point)} of {length} elements for {len(tops)} results")
    w.add_many("Split", [w.x, w.constant("lengths", lengths, np.int64)], tops, w.layer.name, axis=axis)


@rule("Split")
def split(w: Writer) -> None:
    for top in w.layer.tops:
        w.add_many("Identity", [w.x], [top], f"{w.layer.name}/{top}")


@rule("Reshape")
def reshape(w: Writer) -> None:
    """Dimension 0 copies, -1 takes the rest; axes before `axis` and after `num_axes` axes stay."""
    p, shape = w.proto.reshape_param, w.shape(w.x)
    start = p.axis if p.axis >= 0 else len(shape) + p.axis + 1
    end = len(shape) if p.num_axes == -1 else start + p.num_axes
    if not 0 <= start <= end <= len(shape):
        raise w.error(f"axis {p.axis} and num_axes {p.num_axes} of {len(shape)} dimensions")
    dims = list(p.shape.dim)
    for i, d in enumerate(dims):
        if d == 0:
            if start + i >= len(shape):
                raise w.error(f"dimension {i} copies one that the input {list(shape)} does not have")
            dims[i] = shape[start + i]
    full = [*shape[:start], *dims, *shape[end:]]
    known, total = math.prod(d for d in full if d != -1), math.prod(shape)
    rest = total // known if full.count(-1) == 1 and known and total % known == 0 else -1
    full = [rest if d == -1 else d for d in full]
    if math.prod(full) != total or min(full, default=1) < 1:
        raise w.error(f"{list(shape)} does not fit {list(p.shape.dim)}")
    w.reshape(w.x, full)


@rule("Flatten")
def flatten(w: Writer) -> None:
    p, shape = w.proto.flatten_param, w.shape(w.x)
    start, end = w.axis(p.axis), w.axis(p.end_axis)
    if end < start:
        raise w.error(f"axes {p.axis} to {p.end_axis}")
    w.reshape(w.x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@rule("Permute")
def permute(w: Writer) -> None:
    """Axes that `order` leaves out follow in ascending order."""
    order, rank = list(w.proto.permute_param.order), len(w.shape(w.x))
    if len(set(order)) != len(order) or max(order, default=0) >= rank:
        raise w.error(f"order {order} of {rank} dimensions")
    w.add("Transpose", [w.x], perm=[*order, *(a for a in range(rank) if a not in order)])


@rule("Crop")
def crop(w: Writer) -> None:
    """From `axis` on, the size of the second input at an offset."""
    p, shape = w.proto.crop_param, w.shape(w.x)
    like = w.shape(w.layer.bottoms[1])
    axes = list(range(w.axis(p.axis), len(shape)))
    offsets = list(p.offset) or [0]
    if len(like) != len(shape) or len(offsets) not in (1, len(axes)):
        raise w.error(f"{len(offsets)} offsets for {len(axes)} axes")
    starts = offsets * (len(axes) if len(offsets) == 1 else 1)
    ends = [s + like[a] for s, a in zip(starts, axes, strict=True)]
    if any(e > shape[a] for e, a in zip(ends, axes, strict=True)):
        raise w.error(f"{list(like)} at {offsets} lies outside {list(shape)}")
    parts = [w.constant(k, v, np.int64) for k, v in (("starts", starts), ("ends", ends), ("axes", axes))]
    w.add("Slice", [w.x, *parts])


@rule("Tile")
def tile(w: Writer) -> None:
    p = w.proto.tile_param
    repeats = [1] * len(w.shape(w.x))
    repeats[w.axis(p.axis)] = p.tiles
    if p.tiles < 1:
        raise w.error(f"{p.tiles} tiles")
    w.add("Tile", [w.x, w.constant("repeats", repeats, np.int64)])


@rule("ShuffleChannel")
def shuffle_channel(w: Writer) -> None:
    n, c, *rest = w.shape(w.x)
    group = w.proto.shuffle_channel_param.group
    if group < 1 or c % group:
        raise w.error(f"{c} channels in {group} groups")
    groups = w.reshape(w.x, (n, group, c // group, *rest), "groups")
    perm = [0, 2, 1, *range(3, 3 + len(rest))]
    w.reshape(w.add("Transpose", [groups], "shuffled", perm=perm), (n, c, *rest))


@rule("Reorg")
def reorg(w: Writer) -> None:
    """Darknet's reorg: the memory of (C, H, W) is read as (C/s^2, H*s, W*s), whose s x s blocks become channels.

    reverse: channels become s x s blocks. Source: Darknet's reorg_cpu, which the Caffe ports share.
    """
    p = w.proto.reorg_param
    n, c, h, v = w.shape(w.x)
    s = p.stride
    if s < 1 or c % (s * s) or (not p.reverse and (h % s or v % s)):
        raise w.error(f"stride {s} of {[c, h, v]}")
    small = c // (s * s)
    if p.reverse:
        blocks = w.reshape(w.x, (n, s, s, small, h, v), "blocks")
        moved = w.add("Transpose", [blocks], "moved", perm=[0, 3, 4, 1, 5, 2])
        w.reshape(moved, (n, small, h * s, v * s))
    else:
        blocks = w.reshape(w.x, (n, small, h, s, v, s), "blocks")
        moved = w.add("Transpose", [blocks], "moved", perm=[0, 3, 5, 1, 2, 4])
        w.reshape(moved, (n, c * s * s, h // s, v // s))
