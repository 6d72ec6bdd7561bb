"""Resize of opset 18 and newer: a choice of axes, kept proportions, further modes."""

from __future__ import annotations

import math

import numpy as np

from bittrue.importers.opset.writer import Writer, rule


def _sizes(w: Writer, sizes: list[int], axes: list[int], policy: str) -> list[int]:
    shape = w.shape(w.x)
    if policy != "stretch":
        ratios = [size / shape[a] for size, a in zip(sizes, axes, strict=True)]
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        sizes = [math.floor(ratio * shape[a] + 0.5) for a in axes]
    full = list(shape)
    for size, a in zip(sizes, axes, strict=True):
        full[a] = size
    return full


def _factors(w: Writer, inputs: list[str]) -> list[float]:
    shape = w.shape(w.x)
    if inputs[1]:
        return [float(v) for v in w.graph.constants[inputs[1]]]
    return [float(v) / s for v, s in zip(w.graph.constants[inputs[2]], shape, strict=True)]


@rule("Resize", since=18)
def resize(w: Writer) -> None:
    attrs = w.node.attrs
    x, roi = w.x, w.input(1)
    rank = len(w.shape(x))
    axes = [int(a) % rank for a in attrs.get("axes", range(rank))]
    policy = attrs.get("keep_aspect_ratio_policy", "stretch")
    mode = attrs.get("coordinate_transformation_mode", "half_pixel")
    special = "axes" in attrs or policy != "stretch" or mode == "half_pixel_symmetric" or attrs.get("antialias", 0)
    if not special:
        w.keep(without=("antialias", "keep_aspect_ratio_policy"))
        return
    inputs = [roi, w.input(2), w.input(3)]
    if "axes" in attrs and roi and mode == "tf_crop_and_resize":
        raise w.error("a region (roi) of some axes")
    scales, sizes = w.constant(2, "scales"), w.constant(3, "sizes")
    if scales is not None and scales.size:
        full = np.ones(rank, np.float32)
        full[axes] = scales
        inputs = [roi, w.add_constant("scales", full, np.float32), ""]
    elif sizes is not None:
        inputs = [roi, "", w.add_constant("sizes", _sizes(w, [int(s) for s in sizes], axes, policy))]
    factors = _factors(w, inputs)
    if attrs.get("antialias", 0) and min(factors) < 1 and attrs.get("mode", "nearest") != "nearest":
        raise w.error("antialias while shrinking")
    if mode == "half_pixel_symmetric":
        extents = [f * s for f, s in zip(factors, w.shape(x), strict=True)]
        if any(abs(e - round(e)) > 1e-6 for e in extents):
            raise w.error("half_pixel_symmetric with a fractional size")
        mode = "half_pixel"
    w.keep(
        [x, *inputs] if inputs[2] else [x, *inputs[:2]],
        without=("axes", "antialias", "keep_aspect_ratio_policy"),
        coordinate_transformation_mode=mode,
    )
