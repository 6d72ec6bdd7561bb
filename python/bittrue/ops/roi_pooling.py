"""Pooling of regions (R, 5): image, xmin, ymin, xmax, ymax. Every step is one rounding to binary32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bittrue.errors import DataError
from bittrue.graph.ir import Node, TensorType
from bittrue.ops.registry import Array, op

F = np.float32
Bins = tuple[Array, Array]
Window = tuple[int, int, int, Array]


def _round(v: Any) -> Array:
    """Half away from zero."""
    whole = np.trunc(v)
    return whole + np.where(np.abs(v - whole) >= F(0.5), np.sign(v), F(0))


def _limited(begin: Array, end: Array, length: int) -> Bins:
    def index(v: Array) -> Array:
        return np.clip(np.nan_to_num(v, nan=0.0), 0, length).astype(np.int64)

    return index(begin), index(end)


def _max_bins(low: F, high: F, scale: F, bins: int, length: int) -> Bins:
    start, i = _round(low * scale), np.arange(bins, dtype=F)
    size = np.maximum(_round(high * scale) - start + F(1), F(1)) / F(bins)
    return _limited(np.floor(i * size) + start, np.ceil((i + F(1)) * size) + start, length)


def _mean_bins(low: F, high: F, scale: F, bins: int, length: int) -> Bins:
    start, i = _round(low) * scale, np.arange(bins, dtype=F)
    size = np.maximum((_round(high) + F(1)) * scale - start, F(0.1)) / F(bins)
    return _limited(np.floor(i * size + start), np.ceil((i + F(1)) * size + start), length)


def _windows(x: Array, rois: Array, scale: F, bins: tuple[int, int], rule: Callable[..., Bins]) -> Iterator[Window]:
    """(region, row, column, part of the image's features) of every bin that is not empty."""
    for r, (image, *box) in enumerate(rois):
        if not 0 <= image < len(x):
            raise DataError("a region names an image that is not there")
        top, bottom = rule(box[1], box[3], scale, bins[0], x.shape[2])
        left, right = rule(box[0], box[2], scale, bins[1], x.shape[3])
        for i, j in np.ndindex(bins):
            part = x[int(image), :, top[i] : bottom[i], left[j] : right[j]]
            if part[0].size:
                yield r, i, j, part


@op("RoiMaxPool", "pooled", "spatial_scale")
def roi_max_pool(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    x, rois = (np.asarray(v, F) for v in inputs)
    result = np.zeros(outputs[0].shape, F)
    rows, columns = node.attrs["pooled"]
    scale = F(node.attrs.get("spatial_scale", 1.0))
    with np.errstate(all="ignore"):
        for r, i, j, part in _windows(x, rois, scale, (rows, columns), _max_bins):
            candidates = np.where(part > np.finfo(F).min, part, np.finfo(F).min)  # NaN never wins
            result[r, :, i, j] = candidates.max((1, 2))
    return [result]


@op("PsRoiPool", "output_dim", "group_size", "spatial_scale")
def ps_roi_pool(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    x, rois = (np.asarray(v, F) for v in inputs)
    result, group = np.zeros(outputs[0].shape, F), node.attrs["group_size"]
    scale = F(node.attrs.get("spatial_scale", 1.0))
    with np.errstate(all="ignore"):
        for r, i, j, part in _windows(x, rois, scale, (group, group), _mean_bins):
            own = part.reshape(-1, group, group, part[0].size)[:, i, j]
            # A running sum from zero adds in row-major order, one rounding each.
            steps = np.pad(own, ((0, 0), (1, 0)))
            result[r, :, i, j] = np.add.accumulate(steps, 1, dtype=F)[:, -1] / F(part[0].size)
    return [result]
