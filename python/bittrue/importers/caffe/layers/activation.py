"""Elementwise layers of one input."""

from __future__ import annotations

import math

import numpy as np

from bittrue.importers.caffe.writer import Writer, rule


@rule("ReLU")
def relu(w: Writer) -> None:
    slope = w.proto.relu_param.negative_slope
    if slope:
        w.add("LeakyRelu", [w.x], alpha=float(slope))
    else:
        w.add("Relu", [w.x])


def _limit(w: Writer, low: float, high: float) -> None:
    w.add("Clip", [w.x, w.constant("min", low), w.constant("max", high)])


@rule("ReLU6")
def relu6(w: Writer) -> None:
    if w.proto.relu6_param.negative_slope:
        raise w.error("negative_slope")
    _limit(w, 0.0, w.proto.relu6_param.threshold)


@rule("Clip")
def clip(w: Writer) -> None:
    _limit(w, w.proto.clip_param.min, w.proto.clip_param.max)


@rule("PReLU")
def prelu(w: Writer) -> None:
    shape = w.shape(w.x)
    if w.proto.prelu_param.channel_shared:
        slope = w.blob(0, (), "slope").reshape((1,) * max(1, len(shape) - 1))
    else:
        slope = w.blob(0, (shape[1],), "slope").reshape(-1, *[1] * (len(shape) - 2))
    w.add("PRelu", [w.x, w.constant("slope", slope)])


@rule("ELU")
def elu(w: Writer) -> None:
    w.add("Elu", [w.x], alpha=float(w.proto.elu_param.alpha))


@rule("Swish")
def swish(w: Writer) -> None:
    x, beta = w.x, w.proto.swish_param.beta
    if beta != 1:
        x = w.add("Mul", [x, w.constant("beta", beta)], "scaled")
    w.add("Mul", [w.x, w.add("Sigmoid", [x], "sigmoid")])


def _affine(w: Writer, x: str, scale: float, shift: float) -> str:
    """x * scale + shift, without steps that do nothing."""
    if scale != 1:
        x = w.add("Mul", [x, w.constant("scale", scale)], "scaled")
    if shift != 0:
        x = w.add("Add", [x, w.constant("shift", shift)], "shifted")
    return x


@rule("Power")
def power(w: Writer) -> None:
    """(shift + scale * x) ^ power."""
    p = w.proto.power_param
    x = _affine(w, w.x, p.scale, p.shift)
    if p.power == 1:
        w.add("Identity", [x])
    elif p.power == 2:
        w.add("Mul", [x, x])
    else:
        w.add("Pow", [x, w.constant("power", p.power)])


def _base(w: Writer, base: float) -> float:
    if base != -1 and base <= 0:
        raise w.error(f"base {base}")
    return 1.0 if base == -1 else math.log(base)


@rule("Exp")
def exp(w: Writer) -> None:
    """base ^ (shift + scale * x), base -1 is e; computed as base^shift * exp(scale * ln(base) * x), as Caffe does."""
    p = w.proto.exp_param
    ln = _base(w, p.base)
    x = w.add("Exp", [_affine(w, w.x, float(np.float32(p.scale * ln)), 0.0)], "exp")
    w.add("Mul", [x, w.constant("factor", math.exp(p.shift * ln))])


@rule("Log")
def log(w: Writer) -> None:
    """ln(scale * x + shift) / ln(base), base -1 is e."""
    p = w.proto.log_param
    ln = _base(w, p.base)
    x = w.add("Log", [_affine(w, w.x, p.scale, p.shift)], "log")
    w.add("Mul", [x, w.constant("factor", 1 / ln)])


@rule("BNLL")
def bnll(w: Writer) -> None:
    w.add("Softplus", [w.x])


@rule("Threshold")
def threshold(w: Writer) -> None:
    above = w.add("Greater", [w.x, w.constant("threshold", w.proto.threshold_param.threshold)], "above")
    w.add("Cast", [above], to=1)


@rule("Sigmoid", "TanH", "AbsVal")
def unary(w: Writer) -> None:
    w.add({"Sigmoid": "Sigmoid", "TanH": "Tanh", "AbsVal": "Abs"}[w.layer.type], [w.x])


@rule("Dropout")
def dropout(w: Writer) -> None:
    """Nothing at test time; forks that do not scale in training (scale_train: false) scale here."""
    p = w.proto.dropout_param
    if p.scale_train:
        w.add("Identity", [w.x])
    else:
        w.add("Mul", [w.x, w.constant("kept", 1 - p.dropout_ratio)])
