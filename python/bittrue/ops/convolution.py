"""Conv2d and ConvTranspose2d: patches and a float64 matrix product, exact while sums stay below 2^53."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops.arithmetic import output_stage
from bittrue.ops.registry import STAGE, Array, op

WINDOW = ("strides", "pads", "dilations")


def windows(x: Array, kernel: Sequence[int], attrs: dict[str, Any], out_hw: Sequence[int], fill: Any) -> Array:
    """Views of x (N,C,H,W) under a sliding window: (N,C,OH,OW,KH,KW); `fill` is the value of the padding."""
    (kh, kw), (oh, ow) = kernel, out_hw
    sh, sw = attrs.get("strides", [1, 1])
    dh, dw = attrs.get("dilations", [1, 1])
    top, left, bottom, right = attrs.get("pads", [0, 0, 0, 0])
    need_h = (oh - 1) * sh + (kh - 1) * dh + 1 - (x.shape[2] + top)
    need_w = (ow - 1) * sw + (kw - 1) * dw + 1 - (x.shape[3] + left)
    # Ceil rounding of the output size may look beyond the declared padding.
    padding = ((0, 0), (0, 0), (top, max(bottom, need_h, 0)), (left, max(right, need_w, 0)))
    x = np.pad(x, padding, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, ((kh - 1) * dh + 1, (kw - 1) * dw + 1), axis=(2, 3))
    return view[:, :, ::sh, ::sw, ::dh, ::dw][:, :, :oh, :ow]


def _per_channel(values: Sequence[int], channels: int) -> Array:
    return np.broadcast_to(np.asarray(values, np.int64), (channels,))


def _sums(cols: Array, w: Array) -> Array:
    """cols (P,K) int64 times w (OC,K) int64 -> (P,OC) int64, exact."""
    bound = float(np.abs(cols).max(initial=0)) * float(np.abs(w).max(initial=0)) * cols.shape[1]
    if bound < 2**53:
        return np.rint(cols.astype(np.float64) @ w.astype(np.float64).T).astype(np.int64)
    result: Array = cols @ w.T
    return result


@op("Conv2d", *WINDOW, "group", "x_zero_point", "w_zero_point", *STAGE)
def conv2d(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x, w, *rest = inputs
    assert x is not None and w is not None
    group = node.attrs.get("group", 1)
    oc, ic, kh, kw = w.shape
    n, _, oh, ow = outputs[0].shape
    x = x.astype(np.int64) - node.attrs.get("x_zero_point", 0)
    w = w.astype(np.int64) - _per_channel(node.attrs.get("w_zero_point", [0]), oc)[:, None, None, None]
    view = windows(x, (kh, kw), node.attrs, (oh, ow), 0)
    sums = np.empty((n, oc, oh, ow), np.int64)
    per_group = oc // group
    for g in range(group):
        cols = view[:, g * ic : (g + 1) * ic].transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, -1)
        part = _sums(cols, w[g * per_group : (g + 1) * per_group].reshape(per_group, -1))
        sums[:, g * per_group : (g + 1) * per_group] = part.reshape(n, oh, ow, per_group).transpose(0, 3, 1, 2)
    if rest and rest[0] is not None:
        sums += rest[0].astype(np.int64)[:, None, None]
    return [output_stage(sums, node.attrs, outputs[0].dtype)]


@op("ConvTranspose2d", *WINDOW, "group", "output_padding", "x_zero_point", "w_zero_point", *STAGE)
def conv_transpose2d(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    x, w, *rest = inputs
    assert x is not None and w is not None
    group = node.attrs.get("group", 1)
    sh, sw = node.attrs.get("strides", [1, 1])
    dh, dw = node.attrs.get("dilations", [1, 1])
    top, left = node.attrs.get("pads", [0, 0, 0, 0])[:2]
    n, oc, oh, ow = outputs[0].shape
    c, per_group, kh, kw = w.shape
    h, width = x.shape[2:]
    x = x.astype(np.int64) - node.attrs.get("x_zero_point", 0)
    zero = _per_channel(node.attrs.get("w_zero_point", [0]), oc).reshape(group, per_group)
    full_h = max(oh + top, (h - 1) * sh + (kh - 1) * dh + 1)
    full_w = max(ow + left, (width - 1) * sw + (kw - 1) * dw + 1)
    full = np.zeros((n, oc, full_h, full_w), np.int64)
    ic = c // group
    for g in range(group):
        wg = w[g * ic : (g + 1) * ic].astype(np.int64) - zero[g][:, None, None]
        xg = x[:, g * ic : (g + 1) * ic]
        for i in range(kh):
            for j in range(kw):
                rows = slice(i * dh, i * dh + (h - 1) * sh + 1, sh)
                columns = slice(j * dw, j * dw + (width - 1) * sw + 1, sw)
                part = np.einsum("nchw,co->nohw", xg, wg[:, :, i, j])
                full[:, g * per_group : (g + 1) * per_group, rows, columns] += part
    sums = full[:, :, top : top + oh, left : left + ow]
    if rest and rest[0] is not None:
        sums = sums + rest[0].astype(np.int64)[:, None, None]
    return [output_stage(sums, node.attrs, outputs[0].dtype)]
