"""Pooling by Caffe's rules: sizes are rounded up, and averages count padding but not what lies beyond it."""

from __future__ import annotations

import numpy as np

from bittrue.importers.caffe.writer import Writer, rule


def pooled_size(size: int, kernel: int, stride: int, pad: int, *, ceil: bool) -> int:
    """Elements of one axis after pooling. With padding, a last window that starts beyond the input and its leading
    padding is left out. Source: Caffe's pooling layer."""
    steps = size + 2 * pad - kernel
    out = (-(-steps // stride) if ceil else steps // stride) + 1
    if pad and (out - 1) * stride >= size + pad:
        out -= 1
    return out


@rule("Pooling")
def pooling(w: Writer) -> None:
    p = w.proto.pooling_param
    methods = p.DESCRIPTOR.fields_by_name["pool"].enum_type.values_by_number
    method = methods[p.pool].name
    if method == "STOCHASTIC":
        raise w.error("stochastic pooling")
    if len(w.layer.tops) > 1:
        raise w.error("the mask of the largest elements")
    if len(w.shape(w.x)) != 4:
        raise w.error("only two-dimensional windows")
    if p.global_pooling:
        w.add("GlobalMaxPool" if method == "MAX" else "GlobalAveragePool", [w.x])
        return
    kernel = [p.kernel_h or p.kernel_size, p.kernel_w or p.kernel_size]
    strides = [p.stride_h or p.stride, p.stride_w or p.stride]
    pads = [p.pad_h, p.pad_w] if p.HasField("pad_h") or p.HasField("pad_w") else [p.pad, p.pad]
    ceil = p.round_mode == 0 and p.ceil_mode
    size = w.shape(w.x)[2:]
    if min(kernel) < 1 or min(strides) < 1:
        raise w.error("kernel_size and stride must be positive")
    out = [pooled_size(d, k, s, b, ceil=ceil) for d, k, s, b in zip(size, kernel, strides, pads, strict=True)]
    if min(out) < 1:
        raise w.error(f"a window of {kernel} does not fit {list(size)}")
    if any((o - 1) * s >= d + b for o, s, d, b in zip(out, strides, size, pads, strict=True)):
        raise w.error("a window outside the input")
    # Where the last window ends beyond the input, counted from the end of the input.
    ends = [(o - 1) * s + k - d - b for o, s, k, d, b in zip(out, strides, kernel, size, pads, strict=True)]
    ends = [max(0, e) for e in ends]
    if method == "MAX":
        w.add("MaxPool", [w.x], kernel_shape=kernel, strides=strides, pads=[*pads, *ends])
        return
    x, counted = w.x, int(any(pads))
    if counted and any(e > b for e, b in zip(ends, pads, strict=True)):
        amounts = w.constant("pads", [0, 0, *pads, 0, 0, *pads], np.int64)
        x = w.add("Pad", [x, amounts], "padded")
        ends = [max(0, e - b) for e, b in zip(ends, pads, strict=True)]
        pads, counted = [0, 0], 0
    w.add("AveragePool", [x], kernel_shape=kernel, strides=strides, pads=[*pads, *ends], count_include_pad=counted)
