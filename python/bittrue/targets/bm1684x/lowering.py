"""BM1684X (BM1686): symmetric int8 as tpu-mlir's published lowering derives it (evidence: source)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.graph.ir import Node
from bittrue.quantize import integer as q
from bittrue.quantize.context import Context, FallbackError
from bittrue.quantize.floating import FloatRules, overhangs
from bittrue.targets.factors import (
    multiplier_and_right_shift,
    multiplier_and_shift,
)

F = np.float32
SMALLEST_WEIGHT_SCALE = 1e-5

FLOAT = FloatRules(
    flush=0,
    format="float16",
    conv_order="plain",
    depthwise_order="plain",
    matmul_order="plain",
    pool_order="plain",
    functions="ieee",
    division="ieee",
)
QUANTIZE: dict[str, Any] = {"rounding": "half_away"}
DEQUANTIZE: dict[str, Any] = {}


def requantized(m: list[int], n: list[int], clamp: dict[str, Any]) -> dict[str, Any]:
    return {"acc": "wrap32", **q.multiplier_shift(m, n), **clamp}


def conv(ctx: Context, node: Node) -> None:
    q.spatial(ctx, node)
    q.activations_of(ctx, node)
    w, bias = q.constant_weight(ctx, node), q.optional_bias(ctx, node)
    transposed, group = node.op == "ConvTranspose", node.attrs["group"]
    if transposed:  # (C, OC/group, ..) seen as (OC, ..)
        c, per_group = w.shape[:2]
        by_channel = w.reshape(group, c // group, per_group, -1).transpose(0, 2, 1, 3).reshape(group * per_group, -1)
    else:
        by_channel = w.reshape(w.shape[0], -1)
    sx, sy = ctx.scale(node.inputs[0]), ctx.scale(node.outputs[0])
    largest = 127 if np.any(w < 0) or bias is not None else 255
    dtype = "int8" if largest == 127 else "uint8"
    s_w = np.maximum(np.abs(by_channel).max(1).astype(F) / F(largest), F(SMALLEST_WEIGHT_SCALE)).astype(np.float64)
    wq = q.saturate(q.round_away(by_channel / s_w[:, None]), dtype)[0]
    if transposed:
        wq = wq.reshape(group, per_group, c // group, -1).transpose(0, 2, 1, 3)
    factors = [multiplier_and_shift(float(F(s * sx / sy)), 32) for s in s_w]
    constants = [ctx.add_constant(f"{node.name}/filter", np.ascontiguousarray(wq.reshape(w.shape)))]
    if bias is not None:
        b32 = q.saturate(q.round_away(bias / (s_w * sx)), "int32")[0]
        constants.append(ctx.add_constant(f"{node.name}/bias", b32))
    stage = requantized([m for m, _ in factors], [n for _, n in factors], q.output_clamp(ctx, node))
    attrs = q.window(node) | {"group": group} | stage
    source = ctx.read_quantized(node.inputs[0])
    if transposed:
        attrs["output_padding"] = list(node.attrs["output_padding"])
    ctx.write_quantized("ConvTranspose2d" if transposed else "Conv2d", node, [source, *constants], attrs)


def matmul(ctx: Context, node: Node) -> None:
    names = q.activations_of(ctx, node)
    if node.op == "Gemm" and node.attrs:
        raise FallbackError("Gemm with transA, or with computed factors")
    if node.inputs[0] in ctx.source.constants:
        raise FallbackError("the left operand is constant")
    sx, sy = ctx.scale(node.inputs[0]), ctx.scale(node.outputs[0])
    if len(names) == 2:
        m, n = multiplier_and_shift(float(F(sx * ctx.scale(names[1]) / sy)), 32)
        sources = [ctx.read_quantized(i) for i in names]
        ctx.write_quantized("MatMul", node, sources, requantized([m], [n], q.output_clamp(ctx, node)))
        return
    w, bias = q.constant_weight(ctx, node), q.optional_bias(ctx, node)
    s_w = float(np.abs(w).max(initial=0)) / 127 or SMALLEST_WEIGHT_SCALE
    m, n = multiplier_and_shift(float(F(sx * s_w / sy)), 32)
    constants = [ctx.add_constant(f"{node.name}/filter", q.saturate(q.round_away(w / s_w), "int8")[0])]
    if bias is not None:
        b32 = q.saturate(q.round_away(bias / (s_w * sx)), "int32")[0]
        constants.append(ctx.add_constant(f"{node.name}/bias", b32))
    source = ctx.read_quantized(node.inputs[0])
    ctx.write_quantized("MatMul", node, [source, *constants], requantized([m], [n], q.output_clamp(ctx, node)))


def operands(ctx: Context, node: Node) -> list[tuple[str, float]]:
    """Quantized operands with their scales; constants are quantized by their own maximum."""
    result = []
    for position, name in enumerate(node.inputs):
        if name in ctx.source.constants:
            value = ctx.constant(name)
            assert value is not None
            result.append(q.quantized_constant(ctx, f"{node.name}/constant_{position}", value))
        else:
            result.append((ctx.read_quantized(name), ctx.scale(name)))
    return result


def add(ctx: Context, node: Node) -> None:
    q.activations_of(ctx, node)
    sy = ctx.scale(node.outputs[0])
    sources = operands(ctx, node)
    factors = [multiplier_and_right_shift(s / sy, 8) for _, s in sources]
    attrs = q.input_stages([m for m, _ in factors], [n for _, n in factors])
    if node.op == "Sub":
        attrs["signs"] = [1, -1]
    ctx.write_quantized("Add", node, [name for name, _ in sources], attrs | q.output_clamp(ctx, node))


def mul(ctx: Context, node: Node) -> None:
    q.activations_of(ctx, node)
    if len(node.inputs) != 2:
        raise FallbackError("a product has two operands")
    sources = operands(ctx, node)
    m, n = multiplier_and_shift(sources[0][1] * sources[1][1] / ctx.scale(node.outputs[0]), 8)
    attrs = q.multiplier_shift([m], [n]) | q.output_clamp(ctx, node)
    ctx.write_quantized("Mul", node, [name for name, _ in sources], attrs)


def average_pool(ctx: Context, node: Node) -> None:
    q.spatial(ctx, node)
    q.activations_of(ctx, node)
    if overhangs(ctx, node) or (any(node.attrs["pads"]) and not node.attrs.get("count_include_pad", 0)):
        raise FallbackError("padding that is not counted")
    kernel = list(node.attrs["kernel_shape"])
    taps = kernel[0] * kernel[1]
    m, n = multiplier_and_shift(ctx.scale(node.inputs[0]) / (ctx.scale(node.outputs[0]) * taps), 8)
    attrs = {"kernel": kernel, **q.window(node), **q.multiplier_shift([m], [n])}
    ctx.write_quantized("AvgPool2d", node, [ctx.read_quantized(node.inputs[0])], attrs)


def concat(ctx: Context, node: Node) -> None:
    names = q.activations_of(ctx, node)
    if len(names) != len(node.inputs):
        raise FallbackError("a constant input")
    sy = ctx.scale(node.outputs[0])
    sources, factors = [ctx.read_quantized(x) for x in names], []
    for x in names:
        same = ctx.scale(x) == sy and ctx.signed(x) == ctx.signed(node.outputs[0])
        factors.append((1, 0) if same else multiplier_and_right_shift(ctx.scale(x) / sy, 8))
    attrs: dict[str, Any] = {"axis": node.attrs["axis"] % len(ctx.shape(node.outputs[0]))}
    if any(f != (1, 0) for f in factors):
        attrs |= q.input_stages([m for m, _ in factors], [n for _, n in factors])
    ctx.write_quantized("Concat", node, sources, attrs)


def softmax(ctx: Context, node: Node) -> None:
    """e[i] = (float)exp(-Sx*i); sum in binary32 in channel order; unsigned output truncates p + 0.5."""
    q.activations_of(ctx, node)
    x, y = node.inputs[0], node.outputs[0]
    rank = len(ctx.shape(x))
    if node.attrs.get("axis", -1) % rank != 1 or rank > 4:
        raise FallbackError("softmax over another axis than 1")
    entries = np.exp(-ctx.scale(x) * np.arange(256)).astype(F)
    name = ctx.add_constant(f"{node.name}/table", entries)
    attrs = {"axis": 1, "output_scale": float(F(ctx.scale(y))), "rounding": "half_away"}
    ctx.write_quantized("SoftmaxTable", node, [ctx.read_quantized(x), name], attrs)


def extreme(ctx: Context, node: Node) -> None:
    names = q.activations_of(ctx, node)
    y = node.outputs[0]
    if len(names) != len(node.inputs) or any(ctx.scale(x) != ctx.scale(y) for x in names):
        raise FallbackError("operands of other scales")
    sources = [ctx.read_quantized(x) for x in names]
    ctx.write_quantized("Maximum" if node.op == "Max" else "Minimum", node, sources, {})


def gelu(ctx: Context, node: Node) -> None:
    q.table(ctx, node, q.GELU_ERF if node.attrs.get("approximate", "none") == "none" else q.GELU_TANH)


TABLES = (
    "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "Log", "Mish", "Reciprocal", "Sigmoid",
    "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh", "Activation",
)  # fmt: skip
INT8 = {
    "Conv": conv, "ConvTranspose": conv, "Gemm": matmul, "MatMul": matmul, "Add": add, "Sum": add, "Sub": add,
    "Mul": mul, "MaxPool": q.max_pool, "AveragePool": average_pool, "Concat": concat, "LeakyRelu": q.leaky_relu,
    "PRelu": q.leaky_relu, "Relu": q.relu, "Softmax": softmax, "Max": extreme, "Min": extreme, "Gelu": gelu,
    **dict.fromkeys(TABLES, q.lookup),
}  # fmt: skip
