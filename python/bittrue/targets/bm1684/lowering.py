"""BM1684: integer rules of the chip with parameters derived as the Sophgo compiler does (bm1684-arithmetic B4, B5)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.graph.ir import Node
from bittrue.quantize import integer as q
from bittrue.quantize.context import Array, Context, FallbackError
from bittrue.quantize.floating import FloatRules, overhangs
from bittrue.targets.bm1684.weights import shift_and_bias
from bittrue.targets.bm1684.winograd import runs_as_winograd, winograd
from bittrue.targets.factors import (
    average_pool_factors,
    coefficient_shift,
    multiplier_and_right_shift,
    multiplier_and_shift,
    round_away,
    weight_shift,
)

F = np.float32
LARGEST_POOL = 225
LARGEST_STRIDE = 15

FLOAT = FloatRules(
    flush=1,
    format="float32",
    conv_order="pairs",
    depthwise_order="alternate",
    matmul_order="alternate",
    pool_order="alternate",
    functions="bm1684",
    division="rsqrt2",
)
QUANTIZE: dict[str, Any] = {"rounding": "add_half_trunc", "flush": 1}
DEQUANTIZE: dict[str, Any] = {"flush": 1}
ACCUMULATOR = {"acc": "wrap32", "rounding": "half_up"}


def weighted(ctx: Context, node: Node, w: Array, at_least: int | None) -> tuple[dict[str, Any], list[str]]:
    """One shift per layer (D3), 16-bit bias, 8-bit weights."""
    sx, sy = ctx.scale(node.inputs[0]), ctx.scale(node.outputs[0])
    n = weight_shift(float(np.abs(w).max(initial=0)), sx, sy)
    if at_least is not None:
        n = max(n, at_least)
    if n < 0:
        raise FallbackError("the largest weight does not fit (negative shift)")
    n, b16 = shift_and_bias(n, q.optional_bias(ctx, node), sy)
    wq, _ = q.saturate(q.round_away(w * F(2.0**n * sx / sy)), "int8")
    constants = [ctx.add_constant(f"{node.name}/filter", wq)]
    if b16 is not None:
        constants.append(ctx.add_constant(f"{node.name}/bias", b16))
    return {**ACCUMULATOR, "requant": "shift", "shift": [n], **q.output_clamp(ctx, node)}, constants


def conv(ctx: Context, node: Node) -> None:
    q.spatial(ctx, node)
    q.activations_of(ctx, node)
    if max(node.attrs["strides"]) > LARGEST_STRIDE:
        raise FallbackError("stride above 15")
    w = q.constant_weight(ctx, node)
    if node.name in ctx.options.winograd and runs_as_winograd(ctx, node, w):
        ctx.evidence = "assumed"
        winograd(ctx, node, w, {**ACCUMULATOR, "requant": "shift", **q.output_clamp(ctx, node)})
        return
    source = ctx.read_quantized(node.inputs[0])
    stage, constants = weighted(ctx, node, w, None)
    attrs = q.window(node) | {"group": node.attrs["group"]}
    op = "Conv2d"
    if node.op == "ConvTranspose":
        op = "ConvTranspose2d"
        if node.attrs["group"] > 1 or any(node.attrs["output_padding"]) or ctx.shape(node.outputs[0])[1] > 64:
            ctx.evidence = "assumed"  # outside the recordings
        attrs["output_padding"] = list(node.attrs["output_padding"])
    ctx.write_quantized(op, node, [source, *constants], attrs | stage)


def matmul(ctx: Context, node: Node) -> None:
    q.activations_of(ctx, node)
    if node.op == "Gemm" and node.attrs:
        raise FallbackError("Gemm with transA, or with computed factors")
    w = q.constant_weight(ctx, node)
    if w.ndim != 2:
        raise FallbackError("the right operand is not a constant matrix")
    source = ctx.read_quantized(node.inputs[0])
    stage, constants = weighted(ctx, node, w, 0)
    ctx.write_quantized("MatMul", node, [source, *constants], stage)


def operand_factor(ctx: Context, tensor: str, sy: float, coefficient: float = 1.0) -> tuple[int, int]:
    """Multiplier and shift of one summand (D4)."""
    sx = ctx.scale(tensor)
    n = max(0, coefficient_shift(coefficient, sx, sy))
    m = int(q.saturate(q.round_away(np.asarray(coefficient * F(2.0**n * sx / sy))), "int8")[0])
    if m < 0:
        raise FallbackError("negative coefficient")
    return m, n


def add(ctx: Context, node: Node) -> None:
    names = q.activations_of(ctx, node)
    y = node.outputs[0]
    if len(names) == len(node.inputs):
        if node.op == "Sub" and len(names) != 2:
            raise FallbackError("a difference has two operands")
        factors = [operand_factor(ctx, x, ctx.scale(y)) for x in names]
        signed = any(ctx.signed(x) for x in names)
        attrs: dict[str, Any] = q.input_stages([m for m, _ in factors], [n for _, n in factors])
        if node.op == "Sub":
            attrs["signs"] = [1, -1]
        if len(names) > 2:
            low, high = (-128, 127) if signed else (0, 255)
            attrs |= {"saturate_each": 1, "intermediate_min": low, "intermediate_max": high}
        sources = [ctx.read_quantized(x) for x in names]
        ctx.write_quantized("Add", node, sources, attrs | q.output_clamp(ctx, node))
        return
    if len(names) != 1 or len(node.inputs) != 2:
        raise FallbackError("several operands, some of them constant")
    x = names[0]
    c = ctx.constant(next(i for i in node.inputs if i in ctx.source.constants))
    assert c is not None
    if node.op == "Sub":
        if node.inputs[0] != x:
            raise FallbackError("a constant less a tensor")
        c = -c
    if c.size == 1:
        c = np.full(ctx.shape(x)[1] if len(ctx.shape(x)) > 1 else 1, c.ravel()[0], c.dtype)
    per_channel(ctx, node, x, np.ones(channels_of(ctx, x, c)), channel_values(ctx, x, c))


def channels_of(ctx: Context, x: str, c: Array) -> int:
    shape = ctx.shape(x)
    if len(shape) < 2:
        raise FallbackError("no channel axis")
    return shape[1]


def channel_values(ctx: Context, x: str, c: Array) -> Array:
    """The constant as one value per channel of x."""
    shape = ctx.shape(x)
    channels = channels_of(ctx, x, c)
    if c.size == 1:
        return np.full(channels, c.ravel()[0], np.float64)
    full = np.ones(len(shape) - c.ndim, np.int64).tolist() + list(c.shape) if c.ndim <= len(shape) else []
    if c.ndim == 1 and len(shape) == 2 and c.size == channels:
        return c.astype(np.float64)
    if c.ndim == 1 and c.size == channels and len(shape) != 2 and shape[-1] != channels:
        return c.astype(np.float64)
    if full and full[1] == channels and c.size == channels:
        return c.ravel().astype(np.float64)
    raise FallbackError("the constant is not one value per channel")


def per_channel(ctx: Context, node: Node, x: str, factor: Array, offset: Array) -> None:
    """ChannelScale of the chip: floor shift, so half of the last place is added to the bias."""
    sx, sy = ctx.scale(x), ctx.scale(node.outputs[0])
    scales, biases, shifts = [], [], []
    for s, b in zip(factor, offset, strict=True):
        n = max(0, coefficient_shift(float(s), sx, sy))
        while n > 0 and abs(round_away(float(F(b) * F(2.0**n / sy)))) > 32767:
            n -= 1
        bias = int(np.clip(round_away(float(F(b) * F(2.0**n / sy))), -32768, 32767))
        if n > 0 and bias + 2 ** (n - 1) <= 32767:
            bias += 2 ** (n - 1)
        scales.append(int(np.clip(round_away(float(F(s) * F(2.0**n * sx / sy))), -128, 127)))
        biases.append(bias)
        shifts.append(n)
    source = ctx.read_quantized(x)
    constants = [
        ctx.add_constant(f"{node.name}/scale", np.asarray(scales, np.int8)),
        ctx.add_constant(f"{node.name}/bias", np.asarray(biases, np.int16)),
    ]
    relu = bool(node.fused)
    attrs = {
        "intermediate_min": 0 if relu else -32768,
        "intermediate_max": 32767,
        "shift": shifts,
        "rounding": "floor",
        **q.output_clamp(ctx, node),
    }
    ctx.write_quantized("ChannelScale", node, [source, *constants], attrs)


def mul(ctx: Context, node: Node) -> None:
    names = q.activations_of(ctx, node)
    y = node.outputs[0]
    if len(names) == 2 and len(node.inputs) == 2:
        product = ctx.scale(names[0]) * ctx.scale(names[1]) / ctx.scale(y)
        m, n = multiplier_and_shift(product, 8)
        n = min(31, max(0, n))
        m = int(np.clip(round_away(float(F(product)) * 2.0**n), -128, 127))
        sources = [ctx.read_quantized(x) for x in names]
        attrs = {**ACCUMULATOR, **q.multiplier_shift([m], [n]), **q.output_clamp(ctx, node)}
        ctx.write_quantized("Mul", node, sources, attrs)
        return
    if len(names) != 1 or len(node.inputs) != 2:
        raise FallbackError("operands of a product")
    x = names[0]
    c = ctx.constant(next(i for i in node.inputs if i in ctx.source.constants))
    assert c is not None
    values = channel_values(ctx, x, c)
    per_channel(ctx, node, x, values, np.zeros(values.size))


def average_pool(ctx: Context, node: Node) -> None:
    q.spatial(ctx, node)
    q.activations_of(ctx, node)
    kernel = list(node.attrs["kernel_shape"])
    taps = kernel[0] * kernel[1]
    if taps > LARGEST_POOL:
        raise FallbackError(f"window of {taps} elements; the chip's integer factors end at {LARGEST_POOL}")
    if overhangs(ctx, node) or (any(node.attrs["pads"]) and not node.attrs.get("count_include_pad", 0)):
        raise FallbackError("padding that is not counted")
    x, y = node.inputs[0], node.outputs[0]
    if ctx.scale(x) != ctx.scale(y):
        raise FallbackError("input and output scales differ")
    m, s = average_pool_factors(taps)
    attrs = {"kernel": kernel, **q.window(node), **q.multiplier_shift([m], [s])}
    ctx.write_quantized("AvgPool2d", node, [ctx.read_quantized(x)], attrs)


def max_pool(ctx: Context, node: Node) -> None:
    if int(np.prod(node.attrs["kernel_shape"])) > LARGEST_POOL:
        raise FallbackError(f"window above {LARGEST_POOL} elements")
    q.max_pool(ctx, node)


def concat(ctx: Context, node: Node) -> None:
    names = q.activations_of(ctx, node)
    if len(names) != len(node.inputs):
        raise FallbackError("a constant input")
    y = node.outputs[0]
    axis = node.attrs["axis"] % len(ctx.shape(y))
    factors, sources = [], [ctx.read_quantized(x) for x in names]
    for x in names:
        same = ctx.ranges[x].threshold == ctx.ranges[y].threshold and ctx.signed(x) == ctx.signed(y)
        factors.append((1, 0) if same else multiplier_and_right_shift(ctx.scale(x) / ctx.scale(y), 8))
    attrs: dict[str, Any] = {"axis": axis}
    if any(f != (1, 0) for f in factors):
        ctx.evidence = "source"  # the recordings only copy
        attrs |= q.input_stages([m for m, _ in factors], [n for _, n in factors])
    ctx.write_quantized("Concat", node, sources, attrs)


def gelu(ctx: Context, node: Node) -> None:
    q.table(ctx, node, q.GELU_TANH)


TABLES = (
    "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Sin", "Cos", "Elu", "Mish", "HardSigmoid", "HardSwish", "Softplus",
    "Softsign", "Reciprocal", "Floor", "Sign", "Abs", "Activation", "Clip",
)  # fmt: skip
INT8 = {
    "Conv": conv, "ConvTranspose": conv, "Gemm": matmul, "MatMul": matmul, "Add": add, "Sum": add, "Sub": add,
    "Mul": mul, "MaxPool": max_pool, "AveragePool": average_pool, "Concat": concat, "LeakyRelu": q.leaky_relu,
    "PRelu": q.leaky_relu, "Relu": q.relu, "Gelu": gelu, **dict.fromkeys(TABLES, q.lookup),
}  # fmt: skip
