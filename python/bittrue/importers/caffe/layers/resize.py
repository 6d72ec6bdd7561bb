"""Interp and Upsample."""

from __future__ import annotations

import numpy as np

from bittrue.importers.caffe.writer import Writer, rule


def interp_size(size: int, wanted: int, zoom: int, shrink: int) -> int:
    """Elements of one axis after Interp, from those after its (negative) padding. Source: the layer of DeepLab."""
    if wanted:
        return wanted
    if shrink > 1:
        size = (size - 1) // shrink + 1
    return size + (size - 1) * (zoom - 1)


@rule("Interp")
def interp(w: Writer) -> None:
    """Bilinear, corners on corners; pad_beg and pad_end are zero or crop."""
    p, x = w.proto.interp_param, w.x
    wanted: tuple[int, ...] = (p.height, p.width)
    if len(w.layer.bottoms) > 1:  # PSPNet's form: the size of a second input
        wanted = w.shape(w.layer.bottoms[1])[2:]
    if p.pad_beg > 0 or p.pad_end > 0:
        raise w.error("positive padding")
    if p.pad_beg or p.pad_end:
        bounds = ([-p.pad_beg] * 2, [d + p.pad_end for d in w.shape(x)[2:]], [2, 3])
        parts = [w.constant(k, v, np.int64) for k, v in zip(("starts", "ends", "axes"), bounds, strict=True)]
        x = w.add("Slice", [x, *parts], "cropped")
    n, c, *size = w.shape(x)
    out = [interp_size(d, k, p.zoom_factor, p.shrink_factor) for d, k in zip(size, wanted, strict=True)]
    if min(out) < 1:
        raise w.error(f"size {out}")
    sizes = w.constant("sizes", [n, c, *out], np.int64)
    w.add("Resize", [x, "", "", sizes], mode="linear", coordinate_transformation_mode="align_corners")


@rule("Upsample")
def upsample(w: Writer) -> None:
    """Every element `scale` times in both directions."""
    p = w.proto.upsample_param
    if len(w.layer.bottoms) > 1:
        raise w.error("the mask of a pooling layer")
    if p.HasField("upsample_h") or p.HasField("upsample_w"):
        raise w.error("upsample_h and upsample_w")
    factors = [p.scale_h or p.scale, p.scale_w or p.scale]
    if min(factors) < 1:
        raise w.error(f"scale {factors}")
    scales = w.constant("scales", [1, 1, *factors])
    attrs = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    w.add("Resize", [w.x, "", scales], mode="nearest", **attrs)
