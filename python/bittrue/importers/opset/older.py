"""Rules for older opsets: attributes that became inputs, renamed ops, changed defaults."""

from __future__ import annotations

import math

import numpy as np

from bittrue.importers.opset.writer import Writer, rule


@rule("Clip", before=11)
def clip(w: Writer) -> None:
    attrs = w.node.attrs
    bounds = [w.like(k, attrs[k]) if k in attrs else "" for k in ("min", "max")]
    while bounds and not bounds[-1]:
        bounds.pop()
    w.keep([w.x, *bounds], without=("min", "max"))


@rule("Pad", before=11)
def pad(w: Writer) -> None:
    attrs = w.node.attrs
    value = w.like("value", attrs.get("value", 0.0))
    w.keep([w.x, w.add_constant("pads", attrs["pads"]), value], without=("pads", "value"))


@rule("Slice", before=10)
def slice_(w: Writer) -> None:
    attrs = w.node.attrs
    names = [k for k in ("starts", "ends", "axes") if k in attrs]
    w.keep([w.x, *(w.add_constant(k, attrs[k]) for k in names)], without=names)


@rule("Squeeze", "Unsqueeze", "ReduceSum", before=13)
def axes(w: Writer) -> None:
    attrs = w.node.attrs
    w.keep([w.x, w.add_constant("axes", attrs["axes"])] if "axes" in attrs else None, without=("axes",))


@rule("Split", before=13)
def split(w: Writer) -> None:
    attrs = w.node.attrs
    w.keep([w.x, w.add_constant("split", attrs["split"])] if "split" in attrs else None, without=("split",))


@rule("TopK", before=10)
def top_k(w: Writer) -> None:
    w.keep([w.x, w.add_constant("k", [w.node.attrs["k"]])], without=("k",))


@rule("Dropout", before=12)
def dropout(w: Writer) -> None:
    w.keep(without=("ratio", "is_test"))


@rule("BatchNormalization", before=14)
def batch_normalization(w: Writer) -> None:
    if not w.node.attrs.get("spatial", 1):
        raise w.error("statistics per element (spatial = 0)")
    del w.keep(without=("spatial", "momentum")).outputs[1:]


@rule("Softmax", "LogSoftmax", "Hardmax", before=13)
def softmax(w: Writer) -> None:
    """Over all axes from `axis` on, taken as one; one axis where the others have one element."""
    x, shape = w.x, w.shape(w.x)
    first = w.node.attrs.get("axis", 1) % len(shape)
    if math.prod(shape[first + 1 :]) == 1:
        w.keep(axis=first)
        return
    flat = w.add("Flatten", [x], "flat", axis=first)
    result = w.add(w.node.op, [flat], "result", axis=-1)
    w.add("Reshape", [result, w.add_constant("shape", shape)])


@rule("Scatter", before=11)
def scatter(w: Writer) -> None:
    w.keep().op = "ScatterElements"


@rule("RoiAlign", before=16)
def roi_align(w: Writer) -> None:
    w.keep(coordinate_transformation_mode="output_half_pixel")


@rule("Upsample", "Resize", before=11)
def upsample(w: Writer) -> None:
    """Resizing before opset 11 maps coordinates by the factor alone and rounds down."""
    attrs = w.node.attrs
    scales = w.add_constant("scales", attrs["scales"], np.float32) if "scales" in attrs else w.input(1)
    mode = attrs.get("mode", "nearest")
    w.add(
        "Resize", [w.x, "", scales], mode="linear" if mode == "bilinear" else mode,
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
