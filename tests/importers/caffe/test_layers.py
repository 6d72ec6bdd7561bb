"""Every layer against its definition in numpy."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import UnsupportedError
from tests.importers.caffe.nets import evaluate, inputs, layer, load

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(7)


def normal(*shape: int) -> Array:
    return RNG.normal(0, 1, shape).astype(np.float32)


A, B, C = normal(2, 4, 3, 5), normal(2, 4, 3, 5), normal(2, 4, 3, 5)
POSITIVE = np.abs(A) + 0.5
ROWS = normal(3, 6)


def per_channel(v: Array) -> Array:
    return v.reshape(-1, 1, 1)


def softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def lrn(x: Array, n: int, alpha: float, beta: float, k: float) -> Array:
    out = np.empty_like(x)
    for c in range(x.shape[1]):
        part = x[:, max(0, c - n // 2) : c + n // 2 + 1]
        out[:, c] = x[:, c] / (k + alpha / n * (part**2).sum(1)) ** beta
    return out


def lrn_within(x: Array, n: int, alpha: float, beta: float) -> Array:
    out, p = np.empty_like(x), n // 2
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    for i, j in product(range(x.shape[2]), range(x.shape[3])):
        mean = (padded[:, :, i : i + n, j : j + n] ** 2).sum((2, 3)) / (n * n)
        out[:, :, i, j] = x[:, :, i, j] / (1 + alpha * mean) ** beta
    return out


def mvn(x: Array, axes: tuple[int, ...], variance: bool) -> Array:
    d = x - x.mean(axes, keepdims=True)
    return d / (np.sqrt((d**2).mean(axes, keepdims=True)) + 1e-9) if variance else d


def reorg(x: Array, s: int) -> Array:
    """Darknet's loop: the output at every index of the input's memory."""
    n, c, h, w = x.shape
    out, out_c = np.empty(x.size, x.dtype), c // (s * s)
    flat = x.ravel()
    for b, k, j, i in product(range(n), range(c), range(h), range(w)):
        c2, offset = k % out_c, k // out_c
        w2, h2 = i * s + offset % s, j * s + offset // s
        out[i + w * (j + h * (k + c * b))] = flat[w2 + w * s * (h2 + h * s * (c2 + out_c * b))]
    return out.reshape(n, c * s * s, h // s, w // s)


def reorg_reverse(x: Array, s: int) -> Array:
    n, c, h, w = x.shape
    out, out_c = np.empty(x.size, x.dtype), c // (s * s)
    flat = x.ravel()
    for b, k, j, i in product(range(n), range(c), range(h), range(w)):
        c2, offset = k % out_c, k // out_c
        w2, h2 = i * s + offset % s, j * s + offset // s
        out[w2 + w * s * (h2 + h * s * (c2 + out_c * b))] = flat[i + w * (j + h * (k + c * b))]
    return out.reshape(n, out_c, h * s, w * s)


def bilinear(x: Array, size: tuple[int, int]) -> Array:
    for axis, length in ((2, size[0]), (3, size[1])):
        at = np.linspace(0, x.shape[axis] - 1, length) if length > 1 else np.zeros(1)
        low = np.minimum(at.astype(int), x.shape[axis] - 1)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def arg_max(x: Array, axis: int, k: int) -> Array:
    """The k largest, of equal values the one of larger index first."""
    moved = np.moveaxis(x, axis, -1)
    rows = [sorted(range(row.size), key=lambda i, r=row: (-r[i], -i))[:k] for row in moved.reshape(-1, moved.shape[-1])]
    return np.moveaxis(np.asarray(rows).reshape(*moved.shape[:-1], k), -1, axis)


TIES = np.round(normal(2, 4, 3, 5))
GAIN, BIAS, MEAN, VAR = normal(4), normal(4), normal(4), np.abs(normal(4)) + 0.1
W, WB = normal(6, 2 * 3 * 5), normal(6)
W60, W5 = normal(6, 60), normal(6, 5)

CASES: list[tuple[str, str, str, list[Array], list[Any], Array]] = [
    ("relu", "ReLU", "", [A], [], np.maximum(A, 0)),
    ("leaky", "ReLU", "relu_param { negative_slope: 0.25 }", [A], [], np.where(A > 0, A, A * 0.25)),
    ("relu6", "ReLU6", "", [A * 5], [], np.clip(A * 5, 0, 6)),
    ("clip", "Clip", "clip_param { min: -0.5 max: 0.25 }", [A], [], np.clip(A, -0.5, 0.25)),
    ("prelu", "PReLU", "", [A], [GAIN], np.where(A > 0, A, A * per_channel(GAIN))),
    ("prelu shared", "PReLU", "prelu_param { channel_shared: true }", [A], [[0.3]], np.where(A > 0, A, A * 0.3)),
    ("prelu rows", "PReLU", "", [ROWS], [np.arange(6.0)], np.where(ROWS > 0, ROWS, ROWS * np.arange(6))),
    ("elu", "ELU", "elu_param { alpha: 0.5 }", [A], [], np.where(A > 0, A, 0.5 * np.expm1(A))),
    ("sigmoid", "Sigmoid", "", [A], [], 1 / (1 + np.exp(-A))),
    ("tanh", "TanH", "", [A], [], np.tanh(A)),
    ("abs", "AbsVal", "", [A], [], np.abs(A)),
    ("bnll", "BNLL", "", [A], [], np.log1p(np.exp(A))),
    ("swish", "Swish", "swish_param { beta: 2 }", [A], [], A / (1 + np.exp(-2 * A))),
    ("threshold", "Threshold", "threshold_param { threshold: 0.5 }", [A], [], (A > 0.5).astype(np.float32)),
    ("power", "Power", "power_param { power: 3 scale: 0.5 shift: 2 }", [A], [], (2 + 0.5 * A) ** 3),
    ("square", "Power", "power_param { power: 2 }", [A], [], A**2),
    ("shift", "Power", "power_param { shift: -1 }", [A], [], A - 1),
    ("identity power", "Power", "", [A], [], A),
    ("exp", "Exp", "exp_param { base: 2 scale: 0.5 shift: 3 }", [A], [], 2 ** (3 + 0.5 * A)),
    ("exp e", "Exp", "exp_param { shift: 1 }", [A], [], np.exp(1 + A)),
    ("log", "Log", "log_param { base: 10 scale: 2 shift: 1 }", [POSITIVE], [], np.log10(2 * POSITIVE + 1)),
    ("log e", "Log", "", [POSITIVE], [], np.log(POSITIVE)),
    ("dropout", "Dropout", "dropout_param { dropout_ratio: 0.3 }", [A], [], A),
    ("dropout kept", "Dropout", "dropout_param { dropout_ratio: 0.25 scale_train: false }", [A], [], A * 0.75),
    ("scale", "Scale", "", [A], [GAIN], A * per_channel(GAIN)),
    ("scale bias", "Scale", "scale_param { bias_term: true }", [A], [GAIN, BIAS],
     A * per_channel(GAIN) + per_channel(BIAS)),
    ("scale all", "Scale", "scale_param { axis: 1 num_axes: -1 }", [A], [B[0]], A * B[0]),
    ("scale one", "Scale", "scale_param { num_axes: 0 }", [A], [[2.5]], A * 2.5),
    ("scale input", "Scale", "scale_param { axis: 0 }", [A, normal(2, 4)], [], None),
    ("bias", "Bias", "", [A], [BIAS], A + per_channel(BIAS)),
    ("eltwise sum", "Eltwise", "", [A, B, C], [], A + B + C),
    ("eltwise coeff", "Eltwise", "eltwise_param { coeff: [0.5, -1, 2] }", [A, B, C], [], 0.5 * A - B + 2 * C),
    ("eltwise first minus", "Eltwise", "eltwise_param { coeff: [-1, 1] }", [A, B], [], B - A),
    ("eltwise prod", "Eltwise", "eltwise_param { operation: PROD }", [A, B, C], [], A * B * C),
    ("eltwise max", "Eltwise", "eltwise_param { operation: MAX }", [A, B, C], [], np.maximum(np.maximum(A, B), C)),
    ("eltwise one", "Eltwise", "eltwise_param { coeff: 3 }", [A], [], 3 * A),
    ("reduce sum", "Reduction", "", [A], [], A.sum()),
    ("reduce asum", "Reduction", "reduction_param { operation: ASUM axis: 1 }", [A], [], np.abs(A).sum((1, 2, 3))),
    ("reduce sumsq", "Reduction", "reduction_param { operation: SUMSQ axis: -1 coeff: 0.5 }", [A], [],
     0.5 * (A**2).sum(3)),
    ("reduce mean", "Reduction", "reduction_param { operation: MEAN axis: 2 }", [A], [], A.mean((2, 3))),
    ("concat", "Concat", "", [A, B], [], np.concatenate([A, B], 1)),
    ("concat dim", "Concat", "concat_param { concat_dim: 0 }", [A, B], [], np.concatenate([A, B], 0)),
    ("concat fused", "Concat", "concat_param { axis: 1 per_fla_fuse: true }", [A, B], [],
     np.concatenate([A.transpose(0, 2, 3, 1).reshape(2, 60), B.transpose(0, 2, 3, 1).reshape(2, 60)], 1)),
    ("concat last", "Concat", "concat_param { axis: -1 }", [A, B], [], np.concatenate([A, B], 3)),
    ("reshape", "Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 5 } }", [A], [], A.reshape(2, 12, 5)),
    ("reshape axis", "Reshape", "reshape_param { axis: 1 num_axes: 2 shape { dim: 6 dim: 2 } }", [A], [],
     A.reshape(2, 6, 2, 5)),
    ("reshape insert", "Reshape", "reshape_param { axis: -1 num_axes: 0 shape { dim: 1 } }", [A], [],
     A.reshape(2, 4, 3, 5, 1)),
    ("flatten", "Flatten", "", [A], [], A.reshape(2, 60)),
    ("flatten axes", "Flatten", "flatten_param { axis: 1 end_axis: 2 }", [A], [], A.reshape(2, 12, 5)),
    ("permute", "Permute", "permute_param { order: [0, 2, 3, 1] }", [A], [], A.transpose(0, 2, 3, 1)),
    ("permute short", "Permute", "permute_param { order: 2 }", [A], [], A.transpose(2, 0, 1, 3)),
    ("crop", "Crop", "crop_param { axis: 2 offset: [1, 2] }", [A, normal(2, 4, 2, 3)], [], A[:, :, 1:3, 2:5]),
    ("crop one offset", "Crop", "crop_param { offset: 1 }", [A, normal(2, 4, 2, 4)], [], A[:, :, 1:3, 1:5]),
    ("tile", "Tile", "tile_param { axis: 2 tiles: 3 }", [A], [], np.tile(A, (1, 1, 3, 1))),
    ("shuffle", "ShuffleChannel", "shuffle_channel_param { group: 2 }", [A], [], A[:, [0, 2, 1, 3]]),
    ("softmax", "Softmax", "", [A], [], softmax(A, 1)),
    ("softmax axis", "Softmax", "softmax_param { axis: -1 }", [A], [], softmax(A, 3)),
    ("lrn", "LRN", "lrn_param { local_size: 3 alpha: 0.7 beta: 0.6 k: 2 }", [A], [], lrn(A, 3, 0.7, 0.6, 2)),
    ("lrn within", "LRN", "lrn_param { local_size: 3 alpha: 0.7 norm_region: WITHIN_CHANNEL }", [A], [],
     lrn_within(A, 3, 0.7, 0.75)),
    ("mvn", "MVN", "", [A], [], mvn(A, (2, 3), True)),
    ("mvn across", "MVN", "mvn_param { across_channels: true }", [A], [], mvn(A, (1, 2, 3), True)),
    ("mvn mean", "MVN", "mvn_param { normalize_variance: false }", [A], [], mvn(A, (2, 3), False)),
    ("normalize", "Normalize", "norm_param { across_spatial: false channel_shared: false }", [A], [GAIN],
     A / np.sqrt((A**2).sum(1, keepdims=True) + 1e-10) * per_channel(GAIN)),
    ("normalize all", "Normalize", "", [A], [[1.5]],
     A / np.sqrt((A**2).sum((1, 2, 3), keepdims=True) + 1e-10) * 1.5),
    ("batch norm", "BatchNorm", "batch_norm_param { eps: 0.01 }", [A], [MEAN * 4, VAR * 4, [4.0]],
     (A - per_channel(MEAN)) / np.sqrt(per_channel(VAR) + 0.01)),
    ("batch norm zero", "BatchNorm", "", [A], [MEAN, VAR, [0.0]], A / np.sqrt(1e-5)),
    ("bn inference", "BN", "", [A], [GAIN, BIAS], A * per_channel(GAIN) + per_channel(BIAS)),
    ("bn", "BN", "", [A], [GAIN, BIAS, MEAN, VAR],
     (A - per_channel(MEAN)) / np.sqrt(per_channel(VAR) + 1e-5) * per_channel(GAIN) + per_channel(BIAS)),
    ("inner product", "InnerProduct", "inner_product_param { num_output: 6 }", [A], [W60, WB],
     A.reshape(2, 60) @ W60.T + WB),
    ("inner product transposed", "InnerProduct",
     "inner_product_param { num_output: 6 bias_term: false transpose: 1 }",
     [A], [W60.T], A.reshape(2, 60) @ W60.T),
    ("inner product axis", "InnerProduct", "inner_product_param { num_output: 6 axis: 3 }", [A], [W5, WB],
     A @ W5.T + WB),
    ("reorg", "Reorg", "reorg_param { stride: 2 }", [normal(2, 8, 4, 6)], [], None),
    ("reorg reverse", "Reorg", "reorg_param { stride: 2 reverse: true }", [normal(2, 8, 3, 2)], [], None),
    ("upsample", "Upsample", "upsample_param { scale: 3 }", [A], [], A.repeat(3, 2).repeat(3, 3)),
    ("interp size", "Interp", "interp_param { height: 7 width: 9 }", [A], [], bilinear(A, (7, 9))),
    ("interp zoom", "Interp", "interp_param { zoom_factor: 2 }", [A], [], bilinear(A, (5, 9))),
    ("interp shrink", "Interp", "interp_param { shrink_factor: 2 }", [A], [], bilinear(A, (2, 3))),
    ("interp crop", "Interp", "interp_param { pad_beg: -1 pad_end: -1 zoom_factor: 3 }", [A], [],
     bilinear(A[:, :, 1:2, 1:4], (1, 7))),
    ("argmax", "ArgMax", "argmax_param { axis: 1 }", [TIES], [], arg_max(TIES, 1, 1)),
    ("argmax two", "ArgMax", "argmax_param { axis: 3 top_k: 2 }", [TIES], [], arg_max(TIES, 3, 2)),
    ("argmax value", "ArgMax", "argmax_param { axis: 1 out_max_val: true }", [TIES], [], TIES.max(1, keepdims=True)),
    ("argmax whole", "ArgMax", "argmax_param { top_k: 3 }", [TIES], [], arg_max(TIES.reshape(2, 1, 60), 2, 3)),
]  # fmt: skip
LATE = {
    "scale input": lambda a: a[0] * a[1][:, :, None, None],
    "reorg": lambda a: reorg(a[0], 2),
    "reorg reverse": lambda a: reorg_reverse(a[0], 2),
}


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_layer(case: Any, tmp_path: Path) -> None:
    name, kind, parameters, arrays, blobs, expected = case
    if expected is None:
        expected = LATE[name](arrays)
    (got,) = evaluate(tmp_path, kind, parameters, arrays, blobs)
    assert got.shape == np.shape(expected) and got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)


def test_argmax_pairs(tmp_path: Path) -> None:
    (got,) = evaluate(tmp_path, "ArgMax", "argmax_param { out_max_val: true top_k: 2 }", [TIES])
    rows = TIES.reshape(2, 60)
    index = arg_max(rows, 1, 2)
    np.testing.assert_array_equal(got, np.stack([index, np.take_along_axis(rows, index, 1)], 1))


def test_slice_and_split(tmp_path: Path) -> None:
    parts = evaluate(tmp_path, "Slice", "slice_param { slice_point: [1, 3] }", [A], tops="y z v")
    for got, expected in zip(parts, (A[:, :1], A[:, 1:3], A[:, 3:]), strict=True):
        np.testing.assert_array_equal(got, expected)
    parts = evaluate(tmp_path, "Slice", "slice_param { slice_dim: 0 }", [A], tops="y z")
    np.testing.assert_array_equal(parts[1], A[1:])
    for got in evaluate(tmp_path, "Split", "", [A], tops="y z"):
        np.testing.assert_array_equal(got, A)


def caffe_pool(x: Array, kind: str, k: list[int], s: list[int], p: list[int], ceil: bool) -> Array:
    """The loops of Caffe's pooling layer."""
    size, out = x.shape[2:], []
    for d in (0, 1):
        steps = (size[d] + 2 * p[d] - k[d]) / s[d]
        n = (math.ceil(steps) if ceil else math.floor(steps)) + 1
        if (p[0] or p[1]) and (n - 1) * s[d] >= size[d] + p[d]:
            n -= 1
        out.append(n)
    y = np.zeros((*x.shape[:2], *out), np.float32)
    for i, j in product(range(out[0]), range(out[1])):
        h, w = i * s[0] - p[0], j * s[1] - p[1]
        hend, wend = min(h + k[0], size[0] + p[0]), min(w + k[1], size[1] + p[1])
        area = (hend - h) * (wend - w)
        window = x[:, :, max(h, 0) : min(hend, size[0]), max(w, 0) : min(wend, size[1])]
        y[:, :, i, j] = window.max((2, 3)) if kind == "MAX" else window.sum((2, 3)) / area
    return y


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_pooling(data: st.DataObject) -> None:
    k = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=2))
    s = [data.draw(st.integers(1, v)) for v in k]
    p = [data.draw(st.integers(0, v - 1)) for v in k]
    size = [data.draw(st.integers(max(1, v - 2 * b), 9)) for v, b in zip(k, p, strict=True)]
    kind, ceil = data.draw(st.sampled_from(["MAX", "AVE"])), data.draw(st.booleans())
    x = normal(1, 2, *size)
    rounding = "" if ceil else data.draw(st.sampled_from(["round_mode: FLOOR", "ceil_mode: false"]))
    parameters = (
        f"pooling_param {{ pool: {kind} kernel_h: {k[0]} kernel_w: {k[1]} stride_h: {s[0]} stride_w: {s[1]} "
        f"pad_h: {p[0]} pad_w: {p[1]} {rounding} }}"
    )
    with TemporaryDirectory() as folder:
        (got,) = evaluate(Path(folder), "Pooling", parameters, [x])
    np.testing.assert_allclose(got, caffe_pool(x, kind, k, s, p, ceil), rtol=1e-5, atol=1e-6)


def test_global_pooling(tmp_path: Path) -> None:
    (got,) = evaluate(tmp_path, "Pooling", "pooling_param { pool: AVE global_pooling: true }", [A])
    np.testing.assert_allclose(got, A.mean((2, 3), keepdims=True), rtol=1e-5, atol=1e-6)


def conv(x: Array, w: Array, b: Array, s: list[int], p: list[int], d: list[int], group: int) -> Array:
    n, _c, h, v = x.shape
    oc, ic, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))
    oh = (h + 2 * p[0] - d[0] * (kh - 1) - 1) // s[0] + 1
    ow = (v + 2 * p[1] - d[1] * (kw - 1) - 1) // s[1] + 1
    y = np.zeros((n, oc, oh, ow))
    for o, i, j in product(range(oc), range(oh), range(ow)):
        first = o // (oc // group) * ic
        window = x[:, first : first + ic, i * s[0] : i * s[0] + d[0] * (kh - 1) + 1 : d[0]]
        window = window[:, :, :, j * s[1] : j * s[1] + d[1] * (kw - 1) + 1 : d[1]]
        y[:, o, i, j] = (window * w[o]).sum((1, 2, 3)) + b[o]
    return y


@pytest.mark.parametrize("kind", ["Convolution", "DepthwiseConvolution", "ConvolutionDepthwise"])
@pytest.mark.parametrize(
    ("text", "kernel", "s", "p", "d"),
    [
        ("kernel_size: 3 pad: 1 stride: 2", (3, 3), [2, 2], [1, 1], [1, 1]),
        ("kernel_h: 2 kernel_w: 3 pad_h: 1 pad_w: 0 stride_h: 1 stride_w: 2", (2, 3), [1, 2], [1, 0], [1, 1]),
        ("kernel_size: [3, 2] pad: [2, 1] dilation: 2", (3, 2), [1, 1], [2, 1], [2, 2]),
    ],
)
def test_convolution(
    kind: str, text: str, kernel: tuple[int, int], s: list[int], p: list[int], d: list[int], tmp_path: Path
) -> None:
    x = normal(2, 4, 6, 7)
    group = 2 if kind == "Convolution" else 4
    w, b = normal(8, 4 // group, *kernel), normal(8)
    stated = "group: 2" if kind == "Convolution" else ""
    (got,) = evaluate(tmp_path, kind, f"convolution_param {{ num_output: 8 {text} {stated} }}", [x], [w, b])
    np.testing.assert_allclose(got, conv(x, w, b, s, p, d, group), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("group", [1, 2])
def test_deconvolution(group: int, tmp_path: Path) -> None:
    """Every input element adds its kernel to the output."""
    x, s, p, k = normal(1, 4, 3, 4), 2, 1, 4
    w, b = normal(4, 6 // group, k, k), normal(6)
    y = np.zeros((1, 6, s * 2 + k, s * 3 + k))
    for c, i, j in product(range(4), range(3), range(4)):
        first = c // (4 // group) * (6 // group)
        y[:, first : first + 6 // group, i * s : i * s + k, j * s : j * s + k] += x[0, c, i, j] * w[c]
    expected = y[:, :, p:-p, p:-p] + b[:, None, None]
    parameters = f"convolution_param {{ num_output: 6 kernel_size: 4 stride: 2 pad: 1 group: {group} }}"
    (got,) = evaluate(tmp_path, "Deconvolution", parameters, [x], [w, b])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


REFUSED = [
    ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "a", "stochastic"),
    ("Pooling", "pooling_param { kernel_size: 1 stride: 5 }", "a", "outside the input"),
    ("Pooling", "pooling_param { kernel_size: 9 }", "a", "does not fit"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: [1, 1, 1] }", "a", "two-dimensional"),
    ("Convolution", "convolution_param { num_output: 4 }", "a", "kernel_size"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 group: 3 }", "a", "3 groups"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 7 }", "a", "does not fit"),
    ("BatchNorm", "batch_norm_param { use_global_stats: false }", "a", "use_global_stats"),
    ("LRN", "lrn_param { local_size: 4 }", "a", "even"),
    ("Concat", "concat_param { axis: 4 }", "a b", "axis 4"),
    ("Concat", "concat_param { axis: 2 }", "a c", "does not fit"),
    ("Eltwise", "", "a c", "different shapes"),
    ("Eltwise", "eltwise_param { coeff: [1, 2, 3] }", "a b", "3 coefficients"),
    ("Reshape", "reshape_param { shape { dim: 7 dim: -1 } }", "a", "does not fit"),
    ("Permute", "permute_param { order: [0, 0] }", "a", "order"),
    ("Crop", "crop_param { offset: 4 }", "a b", "outside"),
    ("Crop", "", "a", "do not fit"),
    ("Reorg", "reorg_param { stride: 2 }", "d", "do not fit"),
    ("Exp", "exp_param { base: 2 shift: 1e9 }", "a", "do not fit"),
    ("Convolution", "convolution_param { num_output: 4000000000 kernel_size: 1000 }", "a", "memory"),
    ("Slice", "slice_param { slice_point: 9 }", "a", "slice points"),
    ("Reorg", "reorg_param { stride: 3 }", "a", "stride 3"),
    ("ShuffleChannel", "shuffle_channel_param { group: 3 }", "a", "3 groups"),
    ("ArgMax", "argmax_param { axis: 1 top_k: 9 }", "a", "top_k 9"),
    ("Upsample", "", "a b", "mask"),
    ("Interp", "interp_param { pad_beg: 1 }", "a", "padding"),
    ("Exp", "exp_param { base: -2 }", "a", "base -2"),
    ("Tile", "tile_param { tiles: 0 }", "a", "0 tiles"),
]


@pytest.mark.parametrize(("kind", "parameters", "bottoms", "reason"), REFUSED)
def test_refused(kind: str, parameters: str, bottoms: str, reason: str, tmp_path: Path) -> None:
    text = inputs((1, 4, 4, 4), (1, 4, 4, 4), (1, 4, 3, 3), (1, 4, 2)) + layer(kind, parameters, bottoms)
    with pytest.raises(UnsupportedError, match=rf"net.prototxt: layer 'l' \({kind}\): .*{reason}"):
        load(tmp_path, text)


def test_all_unsupported_layers_are_listed(tmp_path: Path) -> None:
    text = inputs((1, 4, 4, 4)) + layer("LSTM", name="first") + layer("ReLU", bottoms="y", tops="z", name="fine")
    text += layer("Im2col", tops="v", name="second") + layer(
        "LRN", "lrn_param { local_size: 2 }", tops="u", name="third"
    )
    with pytest.raises(UnsupportedError) as e:
        load(tmp_path, text)
    message = str(e.value)
    assert all(n in message for n in ("'first' (LSTM)", "'second' (Im2col)", "'third' (LRN)")) and "fine" not in message


def test_more_results_than_the_layer_makes(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"layer 'l' \(ReLU\): 2 results, it makes 1"):
        load(tmp_path, inputs((1, 4)) + layer("ReLU", tops="y z"))


def test_shared_random_weights(tmp_path: Path) -> None:
    shared = 'param { name: "w" } convolution_param { num_output: 4 kernel_size: 1 bias_term: false }'
    text = (
        inputs((1, 4, 2, 2))
        + layer("Convolution", shared, name="l1")
        + layer("Convolution", shared, tops="z", name="l2")
    )
    results = FloatRunner(load(tmp_path, text)).run({"a": A[:1, :, :2, :2]})
    np.testing.assert_array_equal(results["y"], results["z"])
