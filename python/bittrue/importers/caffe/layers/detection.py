"""Detection layers: priors, computed here, and what the chips leave to their host processor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import yaml

from bittrue.graph.host_ops import HOST_DOMAIN, host_type
from bittrue.importers.caffe.blobs import Array
from bittrue.importers.caffe.schema import new_message
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


@rule("Yolov3DetectionOutput")
def yolov3_detection_output(w: Writer) -> None:
    """`mask` picks the anchors of each head from `biases`; at most 200 boxes an image, as Sophgo's layer [assumed]."""
    p = w.proto.yolov3_detection_output_param
    heads, chosen, biases = w.layer.bottoms, list(p.mask), list(p.biases)
    chosen = chosen or list(range(len(biases) // 2))
    if len(chosen) % len(heads) or len(p.anchors_scale) != len(heads) or max(chosen, default=0) * 2 + 1 >= len(biases):
        raise w.error(f"{len(heads)} heads, {len(chosen)} mask, {len(biases)} biases, {len(p.anchors_scale)} scales")
    anchors = [biases[2 * i + k] for i in chosen for k in (0, 1)]
    channels = len(chosen) // len(heads) * (5 + p.num_classes)
    if any(w.shape(h)[1:2] != (channels,) or w.shape(h)[0] != w.shape(heads[0])[0] for h in heads):
        raise w.error(f"heads {[list(w.shape(h)) for h in heads]}, {channels} channels are needed")
    _host(
        w, "YoloDetection", heads, num_classes=p.num_classes, anchors=anchors, scales=list(p.anchors_scale),
        confidence_threshold=p.confidence_threshold, nms_threshold=p.nms_threshold, keep_top_k=200,
    )  # fmt: skip


def generated_anchors(base: int, ratios: list[float], scales: list[float]) -> Array:
    """Anchors (A, 4) around the first cell, by ratio, then scale; sides of the ratios are rounded to whole pixels.
    Source: Faster R-CNN."""
    centre, anchors = (base - 1) / 2, []
    for ratio in ratios:
        width = np.round(np.sqrt(base * base / ratio))
        height = np.round(width * ratio)
        for scale in scales:
            half = np.asarray([width * scale - 1, height * scale - 1]) / 2
            anchors.append([*(centre - half), *(centre + half)])
    return np.asarray(anchors, F)


@rule("Python")
def python_layer(w: Writer) -> None:
    """Only the ProposalLayer of py-faster-rcnn, with the values of its TEST configuration; nothing is executed."""
    p = w.proto.python_param
    if p.layer != "ProposalLayer":
        raise w.error(f"{p.module}.{p.layer}: code of its own")
    parameters = new_message("ProposalParameter")
    try:
        given = yaml.safe_load(p.param_str) or {}
        parameters.feat_stride = given.get("feat_stride", 16)
        parameters.scale.extend(given.get("scales", []))
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as e:
        raise w.error(f"param_str '{p.param_str}' is not understood") from e
    _proposal(w, parameters)


@rule("Proposal")
def proposal(w: Writer) -> None:
    _proposal(w, w.proto.proposal_param)


def _proposal(w: Writer, p: Any) -> None:
    if len(w.layer.bottoms) != 3 or len(w.layer.tops) != 1:
        raise w.error("three inputs and one result are needed (scores of the proposals are not offered)")
    scores, deltas, image = (w.shape(i) for i in w.layer.bottoms)
    anchors = generated_anchors(p.base_size, list(p.ratio) or [0.5, 1, 2], list(p.scale) or [8, 16, 32])
    count = len(anchors)
    if scores[:2] != (1, 2 * count) or deltas[:2] != (1, 4 * count) or math.prod(image) < 3:
        raise w.error(f"scores {list(scores)}, predictions {list(deltas)}, image {list(image)} for {count} anchors")
    _host(
        w, "Proposal", w.layer.bottoms, anchors=[float(v) for v in anchors.ravel()], feat_stride=p.feat_stride,
        min_size=float(p.min_size), pre_nms_top_n=p.pre_nms_topn, post_nms_top_n=p.post_nms_topn,
        nms_threshold=p.nms_thresh,
    )  # fmt: skip


def _regions(w: Writer) -> list[str]:
    """Features and regions (R, 5); regions of more dimensions are flattened."""
    features, regions = w.layer.bottoms[:2]
    shape = w.shape(regions)
    if len(w.shape(features)) != 4 or math.prod(shape[1:]) != 5:
        raise w.error(f"features {list(w.shape(features))} and regions {list(shape)}")
    return [features, regions if len(shape) == 2 else w.reshape(regions, (shape[0], 5), "regions")]


@rule("ROIPooling")
def roi_pooling(w: Writer) -> None:
    p = w.proto.roi_pooling_param
    if min(p.pooled_h, p.pooled_w) < 1:
        raise w.error(f"pooled size {p.pooled_h} x {p.pooled_w}")
    w.add("MaxRoiPool", _regions(w), pooled_shape=[p.pooled_h, p.pooled_w], spatial_scale=p.spatial_scale)


@rule("PSROIPooling")
def psroi_pooling(w: Writer) -> None:
    p, inputs = w.proto.psroi_pooling_param, _regions(w)
    if p.group_size < 1 or w.shape(w.x)[1] != p.output_dim * p.group_size**2:
        raise w.error(f"{w.shape(w.x)[1]} channels for output_dim {p.output_dim} and group_size {p.group_size}")
    _host(
        w, "PsRoiPool", inputs, output_dim=p.output_dim, group_size=p.group_size, spatial_scale=float(p.spatial_scale)
    )
