"""Convolution, its depthwise spellings, Deconvolution and InnerProduct."""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.importers.caffe.writer import Writer, rule

DEPTHWISE = ("DepthwiseConvolution", "ConvolutionDepthwise", "DepthWiseConvolution", "Depthwise")


def pair(w: Writer, p: Any, key: str, default: int, h: str, v: str) -> list[int]:
    """A spatial parameter as [vertical, horizontal]: two fields of their own, or one repeated field."""
    if p.HasField(h) or p.HasField(v):
        return [getattr(p, h), getattr(p, v)]
    return repeated_pair(w, list(getattr(p, key)), default)


def repeated_pair(w: Writer, values: list[int], default: int) -> list[int]:
    if len(values) > 2:
        raise w.error("only two-dimensional windows")
    return (values or [default]) * (2 if len(values) < 2 else 1)


def _window(w: Writer, p: Any) -> dict[str, Any]:
    pads = pair(w, p, "pad", 0, "pad_h", "pad_w")
    kernel = pair(w, p, "kernel_size", 0, "kernel_h", "kernel_w")
    if len(w.shape(w.x)) != 4 or p.axis not in (1, -3):
        raise w.error("only two-dimensional windows")
    if min(kernel) < 1 or p.num_output < 1:
        raise w.error("kernel_size and num_output are needed")
    return {
        "kernel_shape": kernel,
        "strides": pair(w, p, "stride", 1, "stride_h", "stride_w"),
        "pads": pads * 2,
        "dilations": repeated_pair(w, list(p.dilation), 1),
    }


def _single(w: Writer) -> None:
    if len(w.layer.bottoms) != 1 or len(w.layer.tops) != 1:
        raise w.error("several inputs that share weights")


@rule("Convolution", *DEPTHWISE)
def convolution(w: Writer) -> None:
    _single(w)
    p = w.proto.convolution_param
    attrs = _window(w, p)
    channels = w.shape(w.x)[1]
    group = channels if w.layer.type in DEPTHWISE and p.group == 1 else p.group
    if channels % group or p.num_output % group:
        raise w.error(f"{channels} channels and {p.num_output} outputs in {group} groups")
    weight = w.blob(0, (p.num_output, channels // group, *attrs["kernel_shape"]))
    inputs = [w.x, w.constant("weight", weight)]
    if p.bias_term:
        inputs.append(w.constant("bias", w.blob(1, (p.num_output,), "bias")))
    w.add("Conv", inputs, group=group, **attrs)


@rule("Deconvolution")
def deconvolution(w: Writer) -> None:
    _single(w)
    p = w.proto.convolution_param
    attrs = _window(w, p)
    channels = w.shape(w.x)[1]
    if channels % p.group or p.num_output % p.group:
        raise w.error(f"{channels} channels and {p.num_output} outputs in {p.group} groups")
    weight = w.blob(0, (channels, p.num_output // p.group, *attrs["kernel_shape"]))
    inputs = [w.x, w.constant("weight", weight)]
    if p.bias_term:
        inputs.append(w.constant("bias", w.blob(1, (p.num_output,), "bias")))
    w.add("ConvTranspose", inputs, group=p.group, **attrs)


@rule("InnerProduct")
def inner_product(w: Writer) -> None:
    _single(w)
    p = w.proto.inner_product_param
    axis = w.axis(p.axis)
    outer, inner = w.shape(w.x)[:axis], w.shape(w.x)[axis:]
    size = int(np.prod(inner))
    weight = w.blob(0, (size, p.num_output)) if p.transpose else w.blob(0, (p.num_output, size)).T
    rows = w.x if axis == 1 and len(inner) == 1 else w.add("Flatten", [w.x], "rows", axis=axis)
    inputs = [rows, w.constant("weight", weight)]
    if p.bias_term:
        inputs.append(w.constant("bias", w.blob(1, (p.num_output,), "bias")))
    if axis == 1:
        w.add("Gemm", inputs)
    else:
        w.reshape(w.add("Gemm", inputs, "product"), (*outer, p.num_output))
