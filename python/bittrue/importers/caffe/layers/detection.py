"""Detection layers: priors, computed here, and what the chips leave to their host processor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bittrue.graph.host_ops import HOST_DOMAIN, host_type
from bittrue.importers.caffe.blobs import Array
from bittrue.importers.caffe.writer import Writer, rule

F = np.float32
CODES = {1: "corner", 2: "center_size", 3: "corner_size"}


def _host(w: Writer, op: str, inputs: list[str], **attrs: Any) -> None:
    w.add_typed(op, HOST_DOMAIN, inputs, host_type(op, attrs, [w.graph.types[i] for i in inputs]), **attrs)


def aspect_ratios(p: Any) -> list[float]:
    """1, then each given ratio and, if flipped, its inverse, without those that are there already."""
    ratios = [F(1)]
    for given in p.aspect_ratio:
        if all(abs(F(given) - r) >= 1e-6 for r in ratios):
            ratios += [F(given)] + ([F(1) / F(given)] if p.flip else [])
    return [float(r) for r in ratios]


def prior_sizes(p: Any, exact: bool) -> Array:
    """Width and height of the priors of a cell (P, 2): for each size the square, the square between it and the maximum,
    then the other ratios. Caffe-SSD cuts sizes to integers, unless `exact`. Source: Caffe-SSD."""
    sizes = []
    for i, least in enumerate(p.min_size):
        least = least if exact else int(least)
        sizes.append((least, least))
        if p.max_size:
            largest = p.max_size[i] if exact else int(p.max_size[i])
            sizes.append((math.sqrt(least * largest),) * 2)
        for ratio in aspect_ratios(p)[1:]:
            sizes.append((least * math.sqrt(ratio), least / math.sqrt(ratio)))
    return np.asarray(sizes, F)


def prior_boxes(p: Any, cells: tuple[int, int], image: tuple[int, int], exact: bool) -> Array:
    """The result (1, 2, cells * P * 4) of PriorBox: boxes by row, column and prior, then variances.

    cells, image: (height, width). Centres and sizes are rounded to binary32, box corners once more at the end.
    """
    step = (p.step_h or p.step or F(image[0]) / F(cells[0]), p.step_w or p.step or F(image[1]) / F(cells[1]))
    y, x = (((np.arange(n, dtype=F) + F(p.offset)) * F(s)).astype(np.float64) for n, s in zip(cells, step, strict=True))
    half = prior_sizes(p, exact).astype(np.float64) / 2
    centre = np.stack(np.broadcast_arrays(x[None, :, None], y[:, None, None]), -1)
    extent = np.asarray([image[1], image[0]], np.float64)
    boxes = np.concatenate([(centre - half) / extent, (centre + half) / extent], -1).astype(F)
    if p.clip:
        boxes = np.clip(boxes, F(0), F(1))
    variance = list(p.variance) or [0.1]
    variances = np.broadcast_to(np.asarray(variance, F), (boxes.size // 4, 4))
    return np.stack([boxes.ravel(), variances.ravel()])[None]


@rule("PriorBox")
def prior_box(w: Writer) -> None:
    p = w.proto.prior_box_param
    cells, image = w.shape(w.x)[2:], w.shape(w.layer.bottoms[1])[2:]
    if p.img_size:
        image = (p.img_size, p.img_size)
    elif p.img_h and p.img_w:
        image = (p.img_h, p.img_w)
    if not p.min_size or (p.max_size and len(p.max_size) != len(p.min_size)) or len(p.variance) not in (0, 1, 4):
        raise w.error(f"{len(p.min_size)} min_size, {len(p.max_size)} max_size, {len(p.variance)} variance")
    if len(cells) != 2 or len(image) != 2:
        raise w.error("its inputs are no feature maps")
    w.graph.add_constant(w.y, prior_boxes(p, cells, image, w.exact_prior_sizes))


@rule("DetectionOutput")
def detection_output(w: Writer) -> None:
    p = w.proto.detection_output_param
    attrs: dict[str, Any] = {
        "num_classes": p.num_classes,
        "share_location": int(p.share_location),
        "background_label": p.background_label_id,
        "nms_threshold": p.nms_param.nms_threshold,
        "nms_top_k": p.nms_param.top_k,
        "nms_eta": p.nms_param.eta,
        "code_type": CODES[p.code_type],
        "keep_top_k": p.keep_top_k,
        "variance_encoded": int(p.variance_encoded_in_target),
    }
    if p.HasField("confidence_threshold"):
        attrs["confidence_threshold"] = p.confidence_threshold
    if len(w.layer.bottoms) < 3:
        raise w.error("predictions, scores and priors are needed")
    inputs = w.layer.bottoms[:3]
    loc, conf, priors = (w.shape(i) for i in inputs)
    count = math.prod(priors) // 8
    per_prior = 4 * (1 if p.share_location else p.num_classes)
    if (
        priors[:2] != (1, 2)
        or math.prod(loc) != loc[0] * count * per_prior
        or math.prod(conf) != loc[0] * count * p.num_classes
    ):
        raise w.error(f"predictions {list(loc)}, scores {list(conf)} and priors {list(priors)} do not fit")
    _host(w, "DetectionOutput", inputs, **attrs)
