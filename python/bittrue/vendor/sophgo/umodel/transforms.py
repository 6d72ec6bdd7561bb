"""What `graph_transform` does to a network in its test form. Formulas: docs/sophgo-quantization.md, evidence:
documented names, standard arithmetic. Sums run in double and are rounded once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from bittrue.importers.caffe.layers.convolution import DEPTHWISE
from bittrue.importers.caffe.net import INPUT_TYPES
from bittrue.vendor.sophgo.umodel.edit import only_reader, producer, readers, remove
from bittrue.vendor.sophgo.umodel.network import Array, Network

CONVOLUTIONS = ("Convolution", *DEPTHWISE)


def is_depthwise(layer: Any) -> bool:
    """A convolution of every channel by itself."""
    p = layer.convolution_param
    return layer.type in DEPTHWISE or (layer.type == "Convolution" and p.group > 1 and p.group == p.num_output)


def _per_channel_scale(network: Network, layer: Any) -> tuple[Array, Array] | None:
    """Gain and offset per channel (float64) of a Scale layer with weights of its own, or None."""
    p, blobs = layer.scale_param, network.weights.get(layer.name, [])
    if layer.type != "Scale" or len(layer.bottom) != 1 or not blobs or p.axis != 1 or p.num_axes != 1:
        return None
    gain = blobs[0].astype(np.float64).ravel()
    return gain, blobs[1].astype(np.float64).ravel() if len(blobs) > 1 else np.zeros_like(gain)


def merge_batch_norm(network: Network) -> None:
    """BatchNorm and the Scale that alone reads it become that Scale: s = gain / sqrt(variance / f + eps) and
    offset - mean / f * s, with the third blob f (0 makes mean and variance zero)."""
    for layer in list(network.proto.layer):
        following = only_reader(network, layer.top[0]) if layer.type == "BatchNorm" else None
        scale = _per_channel_scale(network, following) if following is not None else None
        if following is None or scale is None or layer.name not in network.weights:
            continue
        mean, variance, factor = (b.astype(np.float64).ravel() for b in network.weights[layer.name][:3])
        inverse = 1 / factor[0] if factor[0] else 0.0
        s = scale[0] / np.sqrt(variance * inverse + layer.batch_norm_param.eps)
        t = scale[1] - mean * inverse * s
        network.weights[following.name] = [s.astype(np.float32), t.astype(np.float32)]
        following.scale_param.bias_term = True
        remove(network, layer)


def merge_scale(network: Network, *, depthwise_only: bool = False, excluded: Collection[str] = ()) -> None:
    """A Scale that alone reads a convolution goes into it: W * s and b * s + t. excluded: convolutions left alone."""
    for layer in list(network.proto.layer):
        scale = _per_channel_scale(network, layer) if layer.type == "Scale" else None
        conv = producer(network, layer.bottom[0]) if scale is not None else None
        if scale is None or conv is None or conv.type not in CONVOLUTIONS or only_reader(network, conv.top[0]) is None:
            continue
        if conv.name in excluded or (depthwise_only and not is_depthwise(conv)):
            continue
        gain, offset = scale
        weight, *rest = network.weights[conv.name]
        bias = rest[0].astype(np.float64).ravel() if rest else np.zeros_like(gain)
        scaled = weight.astype(np.float64) * gain.reshape(-1, *[1] * (weight.ndim - 1))
        network.weights[conv.name] = [scaled.astype(np.float32), (bias * gain + offset).astype(np.float32)]
        conv.convolution_param.bias_term = True
        remove(network, layer)


def fold_preprocessing(network: Network, pad_value: float = 0.0) -> None:
    """Scale and mean of the data layer go into the convolutions that read it: W * scale, b - sum(W * scale * mean).

    The mean stays in the data layer where a convolution pads with another value than it: a padded zero is not a zero
    after the mean was subtracted. What was left is noted in `network.notes`.
    """
    for data in [layer for layer in network.proto.layer if layer.type in INPUT_TYPES]:
        p = data.transform_param
        # PriorBox reads the size of the picture, not its values
        convs = [r for r in readers(network, data.top[0]) if r.type != "PriorBox"] if data.top else []
        if not data.HasField("transform_param") or p.mean_file or p.transform_op or p.standardization:
            continue
        if p.scale == 1 and not any(p.mean_value):
            continue
        if not convs or any(c.type not in CONVOLUTIONS or c.name not in network.weights for c in convs):
            network.notes.append(f"layer '{data.name}': what reads it is no convolution; scale and mean stay there")
            continue
        padded = [c for c in convs if _pads(c)]
        mean = np.asarray(list(p.mean_value) or [0.0], np.float64)
        keep_mean = bool(padded) and bool(np.any(mean != pad_value))
        if keep_mean:
            network.notes.append(f"layer '{data.name}': '{padded[0].name}' pads, so the mean stays there")
        for conv in convs:
            _fold(network, conv, float(p.scale), np.zeros(1) if keep_mean else mean)
        p.ClearField("scale")
        if not keep_mean:
            p.ClearField("mean_value")


def _pads(conv: Any) -> bool:
    p = conv.convolution_param
    return any(p.pad) or bool(p.pad_h) or bool(p.pad_w)


def _fold(network: Network, conv: Any, scale: float, mean: Array) -> None:
    weight, *rest = network.weights[conv.name]
    scaled = weight.astype(np.float64) * scale
    channels = np.broadcast_to(mean, (weight.shape[1],)) if mean.size == 1 else mean
    if channels.size != weight.shape[1]:  # groups: every output channel reads its group's inputs
        per_group = channels.reshape(-1, weight.shape[1])
        channels = np.repeat(per_group, weight.shape[0] // len(per_group), 0)
    shift = (scaled * channels.reshape(-1, weight.shape[1], 1, 1)).sum((1, 2, 3))
    bias = rest[0].astype(np.float64).ravel() if rest else np.zeros(len(weight))
    network.weights[conv.name] = [scaled.astype(np.float32), (bias - shift).astype(np.float32)]
    conv.convolution_param.bias_term = True


def drop_unneeded(network: Network) -> None:
    """Takes out Dropout, Silence, a Split with one reader, and a Permute that keeps the order."""
    for layer in list(network.proto.layer):
        order = list(layer.permute_param.order)
        one = layer.type == "Split" and len(layer.top) == 1
        kept = layer.type == "Permute" and order == list(range(len(order)))
        if layer.type == "Dropout" or one or kept:
            remove(network, layer)
        elif layer.type == "Silence":
            name = layer.name
            kept = [other for other in network.proto.layer if other.name != name]
            network.proto.ClearField("layer")
            network.proto.layer.extend(kept)
