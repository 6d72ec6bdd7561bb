"""What the integer lowerings of the targets share: ranges of types, output clamps of fused activations, quantized
constants, lookup tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bittrue.graph.ir import Node
from bittrue.quantize.context import Array, Context, FallbackError
from bittrue.targets.factors import multiplier_and_shift, truncated_multiplier

F = np.float32


def round_away(v: Array) -> Array:
    """round half away from zero, element-wise."""
    result: Array = np.where(v >= 0, np.floor(v + 0.5), -np.floor(-v + 0.5))
    return result


def saturate(v: Array, dtype: str) -> tuple[Array, float]:
    """Values clipped to a type, and the share that was clipped."""
    info = np.iinfo(dtype)
    clipped = float(np.mean((v < info.min) | (v > info.max))) if v.size else 0.0
    return np.clip(v, info.min, info.max).astype(dtype), clipped


def output_clamp(ctx: Context, node: Node) -> dict[str, Any]:
    """clamp_min/clamp_max of the fused activation: relu is the zero point; relu6 limits at round(6/S), [assumed]."""
    if not node.fused:
        return {}
    info = np.iinfo(ctx.dtype(node.outputs[0]))
    clamp = {"clamp_min": 0}
    if node.fused[0].op == "Clip":
        clamp["clamp_max"] = int(min(info.max, math.floor(6.0 / ctx.scale(node.outputs[0]) + 0.5)))
    return clamp


def window(node: Node) -> dict[str, Any]:
    return {k: list(node.attrs[k]) for k in ("strides", "pads", "dilations") if k in node.attrs}


def spatial(ctx: Context, node: Node) -> None:
    """Refuses all but four-dimensional tensors."""
    if len(ctx.shape(node.inputs[0])) != 4:
        raise FallbackError("only one- and two-dimensional windows")


def constant_weight(ctx: Context, node: Node, position: int = 1) -> Array:
    value = ctx.constant(node.inputs[position])
    if value is None:
        raise FallbackError("weight is not constant")
    return value.astype(np.float32)


def optional_bias(ctx: Context, node: Node) -> Array | None:
    if len(node.inputs) < 3 or not node.inputs[2]:
        return None
    value = ctx.constant(node.inputs[2])
    if value is None:
        raise FallbackError("bias is not constant")
    return value.astype(np.float32).ravel()


def activations_of(ctx: Context, node: Node) -> list[str]:
    """Inputs that are not constants; refuses tensors without a range."""
    names = [i for i in node.inputs if i and i not in ctx.source.constants]
    for name in (*names, node.outputs[0]):
        if name not in ctx.ranges:
            raise FallbackError(f"'{name}' has no range")
    return names


# Functions that run as a table of 256 entries: (x, attributes) -> value, in double.
def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def _erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _hard_sigmoid(x: Array, a: dict[str, Any]) -> Array:
    return np.clip(float(a.get("alpha", 0.2)) * x + float(a.get("beta", 0.5)), 0, 1)


FUNCTIONS: dict[str, Callable[[Array, dict[str, Any]], Array]] = {
    "Sigmoid": lambda x, a: _sigmoid(x),
    "Silu": lambda x, a: x * _sigmoid(x),
    "Tanh": lambda x, a: np.tanh(x),
    "Exp": lambda x, a: np.exp(x),
    "Log": lambda x, a: np.log(x),
    "Sqrt": lambda x, a: np.sqrt(x),
    "Sin": lambda x, a: np.sin(x),
    "Cos": lambda x, a: np.cos(x),
    "Elu": lambda x, a: np.where(x > 0, x, float(a.get("alpha", 1.0)) * np.expm1(x)),
    "Mish": lambda x, a: x * np.tanh(_softplus(x)),
    "Softplus": lambda x, a: _softplus(x),
    "Softsign": lambda x, a: x / (1 + np.abs(x)),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x, a: x * _hard_sigmoid(x, {"alpha": a.get("alpha", 1 / 6), "beta": a.get("beta", 0.5)}),
    "Reciprocal": lambda x, a: 1 / x,
    "Floor": lambda x, a: np.floor(x),
    "Ceil": lambda x, a: np.ceil(x),
    "Sign": lambda x, a: np.sign(x),
    "Abs": lambda x, a: np.abs(x),
    "Neg": lambda x, a: -x,
    "Erf": lambda x, a: _erf(x),
    "Clip": lambda x, a: np.clip(x, a.get("min", -np.inf), a.get("max", np.inf)),
}
GELU_ERF: Callable[[Array, dict[str, Any]], Array] = lambda x, a: 0.5 * x * (1 + _erf(x / math.sqrt(2)))  # noqa: E731
GELU_TANH: Callable[[Array, dict[str, Any]], Array] = lambda x, a: (  # noqa: E731
    0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
)


def table(ctx: Context, node: Node, function: Callable[[Array, dict[str, Any]], Array]) -> None:
    """A Lookup: entry = clip(round_half_away(f(i*Sx)/Sy)), index = the raw byte. Source: spec section B6."""
    x, y = node.inputs[0], node.outputs[0]
    activations_of(ctx, node)
    if len([i for i in node.inputs if i and i not in ctx.source.constants]) != 1:
        raise FallbackError("a table has one input")
    source = ctx.read_quantized(x)
    codes = np.arange(256).astype(np.uint8).view(ctx.dtype(x)).astype(np.float64)
    with np.errstate(all="ignore"):
        values = function(codes * ctx.scale(x), node.attrs) / ctx.scale(y)
    info = np.iinfo(ctx.dtype(y))
    values = np.nan_to_num(values, nan=0.0, posinf=info.max, neginf=info.min)
    entries, _ = saturate(round_away(values), ctx.dtype(y))
    name = ctx.add_constant(f"{node.name}/table", entries)
    ctx.write_quantized("Lookup", node, [source, name], {})


def lookup(ctx: Context, node: Node) -> None:
    """Any function of FUNCTIONS as a table."""
    table(ctx, node, FUNCTIONS[node.attrs["pattern"] if node.op == "Activation" else node.op])


def multiplier_shift(multiplier: list[int], shift: list[int], rounding: str = "half_up") -> dict[str, Any]:
    return {"requant": "multiplier_shift", "multiplier": multiplier, "shift": shift, "rounding": rounding}


def input_stages(multiplier: list[int], shift: list[int]) -> dict[str, Any]:
    return {
        "input_requant": "multiplier_shift",
        "input_multiplier": multiplier,
        "input_shift": shift,
        "input_rounding": "half_up",
    }


def quantized_constant(ctx: Context, name: str, value: Array) -> tuple[str, float]:
    """A constant operand: S = max|c|/127 (any value negative) or /255; q = round half away(c/S)."""
    largest = float(np.abs(value).max(initial=0)) or 1e-5
    dtype = "int8" if np.any(value < 0) else "uint8"
    scale = largest / (127 if dtype == "int8" else 255)
    q, _ = saturate(round_away(value.astype(np.float64) / scale), dtype)
    return ctx.add_constant(name, q), scale


def max_pool(ctx: Context, node: Node) -> None:
    """Maximum; input and output share a scale after propagation."""
    spatial(ctx, node)
    activations_of(ctx, node)
    if ctx.scale(node.inputs[0]) != ctx.scale(node.outputs[0]):
        raise FallbackError("input and output scales differ")
    attrs = window(node) | {"kernel": list(node.attrs["kernel_shape"])}
    ctx.write_quantized("MaxPool2d", node, [ctx.read_quantized(node.inputs[0])], attrs)


def relu(ctx: Context, node: Node) -> None:
    """max(x, 0) where input and output share the scale; otherwise a table."""
    x, y = node.inputs[0], node.outputs[0]
    activations_of(ctx, node)
    if ctx.ranges[x].threshold == ctx.ranges[y].threshold and ctx.signed(x) == ctx.signed(y):
        ctx.write_quantized("Clip", node, [ctx.read_quantized(x)], {"clamp_min": 0})
    else:
        table(ctx, node, lambda v, a: np.maximum(v, 0))


def leaky_relu(ctx: Context, node: Node) -> None:
    """x > 0 ? x : R(x*slope, n): D1 for one slope, D6 with signed truncation for slopes per channel."""
    activations_of(ctx, node)
    x, y = node.inputs[0], node.outputs[0]
    if ctx.dtype(x) != "int8" or ctx.dtype(y) != "int8" or ctx.ranges[x].threshold != ctx.ranges[y].threshold:
        raise FallbackError("needs signed input and output of one scale")
    if node.op == "PRelu":
        slope = constant_weight(ctx, node).ravel()
        if slope.size not in (1, ctx.shape(x)[1]):
            raise FallbackError("slope is not one value per channel")
        _, r = truncated_multiplier(float(np.abs(slope).max(initial=0)))
        values = np.clip(np.trunc(slope.astype(np.float64) * 2.0**r), -128, 127).astype(np.int8)
    else:
        m, r = multiplier_and_shift(float(node.attrs.get("alpha", 0.01)), 8)
        values = np.asarray([m], np.int8)
    name = ctx.add_constant(f"{node.name}/slope", values)
    attrs = {"negative_requant": "shift", "negative_shift": [r], "negative_rounding": "half_up"}
    ctx.write_quantized("Prelu", node, [ctx.read_quantized(x), name], attrs)
