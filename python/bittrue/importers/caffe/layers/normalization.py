"""BatchNorm, BN, LRN, MVN, Normalize and Softmax."""

from __future__ import annotations

import numpy as np

from bittrue.importers.caffe.writer import Writer, rule


@rule("BatchNorm")
def batch_norm(w: Writer) -> None:
    """(x - mean / f) / sqrt(variance / f + eps) with the third blob f; f = 0 makes both zero. Source: Caffe."""
    p = w.proto.batch_norm_param
    if p.HasField("use_global_stats") and not p.use_global_stats:
        raise w.error("statistics of the batch (use_global_stats: false)")
    channels = w.shape(w.x)[1]
    mean, variance = w.blob(0, (channels,), "bias"), w.blob(1, (channels,), "variance")
    factor = float(w.blob(2, (1,), "one")[0])
    inverse = np.float32(1 / factor if factor else 0)
    _normalize(w, np.ones(channels), np.zeros(channels), mean * inverse, variance * inverse, p.eps)


def _normalize(w: Writer, gain: np.ndarray, bias: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float) -> None:
    names = [w.constant(k, v) for k, v in (("gain", gain), ("bias", bias), ("mean", mean), ("variance", var))]
    w.add("BatchNormalization", [w.x, *names], epsilon=float(eps))


@rule("BN")
def bn(w: Writer) -> None:
    """The forks' own: two blobs are gain and bias (SegNet, inference form), four are gain, bias, mean and variance."""
    p = w.proto.bn_param
    channels = w.shape(w.x)[1]
    gain, bias = w.blob(0, (channels,), "gain"), w.blob(1, (channels,), "bias")
    if w.blobs.count(w.layer) == 2:
        shape = (-1, *[1] * (len(w.shape(w.x)) - 2))
        product = w.add("Mul", [w.x, w.constant("gain", gain.reshape(shape))], "product")
        w.add("Add", [product, w.constant("bias", bias.reshape(shape))])
        return
    mean, variance = w.blob(2, (channels,), "bias"), w.blob(3, (channels,), "variance")
    _normalize(w, gain, bias, mean, variance, p.var_eps if p.HasField("var_eps") else p.eps)


@rule("LRN")
def lrn(w: Writer) -> None:
    """Across channels: x / (k + alpha / n * sum of squares) ^ beta. Within a channel: the mean of n x n squares with
    counted padding, and 1 for k. Source: Caffe."""
    p = w.proto.lrn_param
    if p.local_size % 2 == 0:
        raise w.error(f"local_size {p.local_size} is even")
    if p.norm_region == 0:
        w.add("LRN", [w.x], size=p.local_size, alpha=float(p.alpha), beta=float(p.beta), bias=float(p.k))
        return
    squares = w.add("Mul", [w.x, w.x], "squares")
    window = {"kernel_shape": [p.local_size] * 2, "pads": [p.local_size // 2] * 4, "strides": [1, 1]}
    means = w.add("AveragePool", [squares], "means", count_include_pad=1, **window)
    scaled = w.add("Mul", [means, w.constant("alpha", p.alpha)], "scaled")
    shifted = w.add("Add", [scaled, w.constant("one", 1.0)], "shifted")
    factor = w.add("Pow", [shifted, w.constant("minus_beta", -p.beta)], "factor")
    w.add("Mul", [w.x, factor])


@rule("MVN")
def mvn(w: Writer) -> None:
    """Mean to zero and, if wanted, x / (deviation + eps)."""
    p = w.proto.mvn_param
    axes = list(range(1 if p.across_channels else 2, len(w.shape(w.x))))
    mean = w.add("ReduceMean", [w.x], "mean", axes=axes, keepdims=1)
    if not p.normalize_variance:
        w.add("Sub", [w.x, mean])
        return
    centred = w.add("Sub", [w.x, mean], "centred")
    squares = w.add("Mul", [centred, centred], "squares")
    variance = w.add("ReduceMean", [squares], "variance", axes=axes, keepdims=1)
    deviation = w.add("Sqrt", [variance], "deviation")
    w.add("Div", [centred, w.add("Add", [deviation, w.constant("eps", p.eps)], "divisor")])


@rule("Normalize")
def normalize(w: Writer) -> None:
    """x / sqrt(sum of squares + eps) * scale, over the channels of a pixel or over everything. Source: Caffe-SSD."""
    p, rank = w.proto.norm_param, len(w.shape(w.x))
    squares = w.add("Mul", [w.x, w.x], "squares")
    axes = list(range(1, rank)) if p.across_spatial else [1]
    total = w.add("ReduceSum", [squares, w.constant("axes", axes, np.int64)], "sum", keepdims=1)
    norm = w.add("Sqrt", [w.add("Add", [total, w.constant("eps", p.eps)], "sum_eps")], "norm")
    unit = w.add("Div", [w.x, norm], "unit")
    if p.channel_shared:
        scale = w.blob(0, (), "gain")
    else:
        channels = w.shape(w.x)[1]
        scale = w.blob(0, (channels,), "gain").reshape(-1, *[1] * (rank - 2))
    w.add("Mul", [unit, w.constant("scale", scale)])


@rule("Softmax")
def softmax(w: Writer) -> None:
    w.add("Softmax", [w.x], axis=w.axis(w.proto.softmax_param.axis))
